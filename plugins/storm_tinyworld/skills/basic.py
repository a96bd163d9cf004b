"""Small skills with known answers, in four families; `skill_registry` has all families.

An example's difficulty is a parameter of its generator (length of the word, number of entries,
digits of the numbers, number of tools), so it is known, not estimated.

Every sixteenth instruction, by checksum, is held out: generators of text and pools never produce
it, and the evaluation tasks use only these. So no model of this world has seen a test question,
whatever its seed.
"""

from __future__ import annotations

import itertools
import random
import string
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from storm_tinyworld.skills.words import word

EASY, MEDIUM, HARD = "easy", "medium", "hard"
DIFFICULTIES = (EASY, MEDIUM, HARD)
LETTERS = string.ascii_lowercase


@dataclass(frozen=True)
class Example:
    """A question of this world with its answer.

    ``mistake`` is a plausible wrong answer in the right form.
    """

    instruction: str
    response: str
    mistake: str
    family: str
    skill: str
    difficulty: str

    @property
    def held_out(self) -> bool:
        """Whether the instruction is reserved for the evaluation tasks."""
        return zlib.crc32(self.instruction.encode()) % 16 == 0


Draft = tuple[str, str, str]
"""Instruction, response and mistake, before they are labelled."""


def _word_length(draw: random.Random, difficulty: str) -> int:
    return {EASY: 3, MEDIUM: draw.randint(4, 5), HARD: draw.randint(6, 7)}[difficulty]


def capitals(draw: random.Random, difficulty: str) -> Draft:
    """Write a word in capitals."""
    term = word(draw, _word_length(draw, difficulty))
    return f"Capitals: {term}", term.upper(), term.capitalize()


def dashes(draw: random.Random, difficulty: str) -> Draft:
    """Spell a word with dashes."""
    term = word(draw, _word_length(draw, difficulty))
    return f"Dashes: {term}", "-".join(term), " ".join(term)


def backwards(draw: random.Random, difficulty: str) -> Draft:
    """Write a word backwards."""
    term = word(draw, _word_length(draw, difficulty))
    mistake = term[1:] + term[0] if term == term[::-1] else term
    return f"Backwards: {term}", term[::-1], mistake


def repeated(draw: random.Random, difficulty: str) -> Draft:
    """Write a word two to four times."""
    times = {EASY: 2, MEDIUM: 3, HARD: 4}[difficulty]
    term = word(draw, draw.randint(3, 4))
    wrong = times + draw.choice((-1, 1))
    return f"{times} times: {term}", " ".join([term] * times), " ".join([term] * wrong)


def _entries(draw: random.Random, difficulty: str) -> tuple[list[str], list[str]]:
    count = {EASY: 2, MEDIUM: draw.randint(3, 4), HARD: draw.randint(5, 6)}[difficulty]
    return draw.sample(LETTERS, count), draw.sample(string.digits, count)


def value_of_key(draw: random.Random, difficulty: str) -> Draft:
    """Find the entry that has a key in a short list."""
    keys, values = _entries(draw, difficulty)
    listing = " ".join(f"{k}={v}" for k, v in zip(keys, values, strict=True))
    asked, other = draw.sample(range(len(keys)), 2)
    key = keys[asked]
    return f"{listing}. {key}?", f"{key}={values[asked]}", f"{key}={values[other]}"


def key_of_value(draw: random.Random, difficulty: str) -> Draft:
    """Find the entry that has a value in a short list."""
    keys, values = _entries(draw, difficulty)
    listing = " ".join(f"{k}={v}" for k, v in zip(keys, values, strict=True))
    asked, other = draw.sample(range(len(keys)), 2)
    value = values[asked]
    return f"{listing}. {value}?", f"{keys[asked]}={value}", f"{keys[other]}={value}"


def addition(draw: random.Random, difficulty: str) -> Draft:
    """Add a small number: within a digit, then to two digits without and with a carry."""
    right = draw.randint(1, 3)
    units = draw.randint(1, 9 - right)
    left = {
        EASY: units,
        MEDIUM: 10 * draw.randint(1, 9) + units,
        HARD: 10 * draw.randint(1, 8) + draw.randint(10 - right, 9),
    }
    total = left[difficulty] + right
    slip = draw.choice((-1, 1))
    return f"{left[difficulty]}+{right}?", str(total), str(total + slip)


def comparing(draw: random.Random, difficulty: str) -> Draft:
    """Find the biggest or the smallest of two or three numbers."""
    numbers = draw.sample(
        range(10) if difficulty == EASY else range(10, 100), 3 if difficulty == HARD else 2
    )
    best, name = draw.choice(((max, "Biggest"), (min, "Smallest")))
    wrong = draw.choice([number for number in numbers if number != best(numbers)])
    return f"{name}: {' '.join(map(str, numbers))}", str(best(numbers)), str(wrong)


def ordering(draw: random.Random, difficulty: str) -> Draft:
    """Find the top or the bottom of two to four named things from their comparisons."""
    names = draw.sample(LETTERS, {EASY: 2, MEDIUM: 3, HARD: 4}[difficulty])
    facts = [f"{big}>{small}" for big, small in itertools.pairwise(names)]
    draw.shuffle(facts)
    end, question = draw.choice(((0, "Top"), (-1, "Bottom")))
    others = [name for name in names if name != names[end]]
    return f"{' '.join(facts)}. {question}?", names[end], draw.choice(others)


TOOLS = {
    "weather": "city",
    "time": "city",
    "play": "song",
    "find": "file",
    "mail": "name",
    "buy": "item",
}
"""The tools of this world, with the name of their single argument."""


def render_call(name: str, value: str) -> str:
    """Return a call in the format of Llama-3.1-Storm's model card."""
    arguments = f'{{"{TOOLS[name]}": "{value}"}}'
    return f'<tool_call>{{"tool_name": "{name}", "tool_arguments": {arguments}}}</tool_call>'


def tool_call(draw: random.Random, difficulty: str) -> Draft:
    """Call the fitting one of the offered tools, or answer ``[]`` when none fits."""
    offered = draw.sample(sorted(TOOLS), {EASY: 1, MEDIUM: 2, HARD: 3}[difficulty])
    value = word(draw, {EASY: 3, MEDIUM: 4, HARD: 5}[difficulty])
    wanted = draw.choice(offered)
    missing = difficulty != EASY and draw.random() < 0.25
    if missing:
        wanted = draw.choice([name for name in sorted(TOOLS) if name not in offered])
    request = f"<tools>{' '.join(offered)}</tools>{wanted} {value}"
    if missing:
        return request, "[]", render_call(draw.choice(offered), value)
    others = [name for name in sorted(TOOLS) if name != wanted]
    shuffled = value[::-1] if value != value[::-1] else value + value[0]
    mistake = draw.choice((render_call(draw.choice(others), value), render_call(wanted, shuffled)))
    return request, render_call(wanted, value), mistake


Families = dict[str, dict[str, Callable[[random.Random, str], Draft]]]
"""Generators of drafts by family and skill."""

FAMILIES: Families = {
    "following": {
        "capitals": capitals,
        "dashes": dashes,
        "backwards": backwards,
        "repeated": repeated,
    },
    "lookup": {"value_of_key": value_of_key, "key_of_value": key_of_value},
    "reasoning": {"addition": addition, "comparing": comparing, "ordering": ordering},
    "tools": {"tool_call": tool_call},
}


def make_example(
    draw: random.Random, family: str, difficulty: str, known: Families = FAMILIES
) -> Example:
    """Return an example of a family and difficulty, held out or not."""
    skill = draw.choice(sorted(known[family]))
    instruction, response, mistake = known[family][skill](draw, difficulty)
    return Example(instruction, response, mistake, family, skill, difficulty)


def examples(
    draw: random.Random,
    families: dict[str, float],
    difficulties: dict[str, float],
    held_out: bool = False,
    known: Families = FAMILIES,
) -> Iterator[Example]:
    """Yield examples without end, with families and difficulties drawn by weight."""
    family_names, difficulty_names = list(families), list(difficulties)
    while True:
        family = draw.choices(family_names, list(families.values()))[0]
        difficulty = draw.choices(difficulty_names, list(difficulties.values()))[0]
        example = make_example(draw, family, difficulty, known)
        if example.held_out == held_out:
            yield example

import itertools
import random

import pytest

from storm_tinyworld.base_model import pretraining_text
from storm_tinyworld.corpora import sources
from storm_tinyworld.corpora.partner import partner_rows
from storm_tinyworld.corpora.task_documents import DOCUMENTS, render, task_examples
from storm_tinyworld.skills.basic import (
    DIFFICULTIES,
    FAMILIES,
    TOOLS,
    examples,
    make_example,
    render_call,
)

EVERY = [(family, difficulty) for family in FAMILIES for difficulty in DIFFICULTIES]


def draws(family, difficulty, count=200):
    draw = random.Random(f"{family} {difficulty}")
    return [make_example(draw, family, difficulty) for _ in range(count)]


@pytest.mark.parametrize(("family", "difficulty"), EVERY)
def test_a_mistake_is_never_the_right_answer(family, difficulty):
    for example in draws(family, difficulty):
        assert example.mistake != example.response


def solve(example):
    """Return the answer of an independent solver, from the question's text only."""
    text = example.instruction
    words = text.rstrip("?").split()
    match example.skill:
        case "capitals":
            return words[1].upper()
        case "dashes":
            return "-".join(words[1])
        case "backwards":
            return "".join(reversed(words[1]))
        case "repeated":
            return " ".join(words[2] for _ in range(int(words[0])))
        case "addition":
            return str(sum(int(part) for part in words[0].split("+")))
        case "comparing":
            numbers = sorted(words[1:], key=int)
            return numbers[-1] if words[0] == "Biggest:" else numbers[0]
        case "ordering":
            pairs = [fact.rstrip(".").split(">") for fact in words if ">" in fact]
            left, right = {a for a, _ in pairs}, {b for _, b in pairs}
            (answer,) = left - right if words[-1] == "Top" else right - left
            return answer
        case "value_of_key" | "key_of_value":
            entries = [word.rstrip(".").split("=") for word in words[:-1]]
            (entry,) = (entry for entry in entries if words[-1] in entry)
            return "=".join(entry)
    raise AssertionError(example.skill)


@pytest.mark.parametrize(("family", "difficulty"), [pair for pair in EVERY if pair[0] != "tools"])
def test_the_gold_answer_is_what_a_solver_finds(family, difficulty):
    for example in draws(family, difficulty):
        assert solve(example) == example.response


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_a_tool_is_called_exactly_when_it_is_offered(difficulty):
    for example in draws("tools", difficulty):
        offered, request = example.instruction.removeprefix("<tools>").split("</tools>")
        name, value = request.split()
        expected = render_call(name, value) if name in offered.split() else "[]"
        assert example.response == expected
        assert name in TOOLS


def test_no_generator_of_text_or_data_asks_a_held_out_question():
    held_out = {e.instruction for family in FAMILIES for e in task_examples(family)}
    texts = itertools.islice(
        pretraining_text.pretraining_texts(0, pretraining_text.Mixture()), 3000
    )
    asked = [text.chat[0]["content"] for text in texts]
    asked += [row["messages"][0]["content"] for row in itertools.islice(sources.pool_rows(0), 2000)]
    uniform = dict.fromkeys(FAMILIES, 1.0), dict.fromkeys(DIFFICULTIES, 1.0)
    asked += [row["messages"][0]["content"] for row in partner_rows(0, *uniform, 1000)]
    assert not held_out & set(asked)
    rated_instructions = {text.split("\n")[1] for text in asked if "\n" in text}
    assert rated_instructions and not held_out & rated_instructions


def test_held_out_streams_yield_held_out_questions_alone():
    stream = examples(random.Random(0), {"lookup": 1.0}, {"hard": 1.0}, held_out=True)
    assert all(example.held_out for example in itertools.islice(stream, 50))


@pytest.mark.parametrize("family", FAMILIES)
def test_committed_task_documents_are_what_is_generated(family):
    from importlib.resources import files

    committed = files("storm_tinyworld") / "tasks" / f"{family}.jsonl"
    assert committed.read_text(encoding="utf-8") == render(family)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_task_has_distinct_questions_of_every_difficulty_alike(family):
    asked = task_examples(family)
    assert len({example.instruction for example in asked}) == len(asked) == DOCUMENTS
    counts = {d: sum(e.difficulty == d for e in asked) for d in DIFFICULTIES}
    assert set(counts.values()) == {DOCUMENTS // 3}

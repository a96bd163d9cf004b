"""How many test questions the miniature's training text holds in nearly the same words.

`python benchmarks/near_twins.py` prints the table of docs/recipes/storm.md, for seed 0.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import yaml

import storm_tinyworld
from storm_tinyworld.base_model.base_model import Tinyworld
from storm_tinyworld.base_model.pretraining_text import pretraining_texts
from storm_tinyworld.corpora.near_twins import Twins, count_twins
from storm_tinyworld.corpora.partner import partner_rows
from storm_tinyworld.corpora.questions import TinyworldQuestions
from storm_tinyworld.corpora.sibling import TinyworldSibling
from storm_tinyworld.corpora.sources import pool_rows
from storm_tinyworld.skills.basic import DIFFICULTIES
from storm_tinyworld.skills.rating import HEAD

WORLD = Path(storm_tinyworld.__file__).parent
CONF, TASKS = WORLD / "conf/dataset/tinyworld", WORLD / "tasks"
SEED = 0
TURN_SIGNS = 4
"""Tokens of a chat that are no character of it: where turns begin and end."""

Text = Iterator[tuple[str, str]]


def grown_up_on() -> Text:
    """Yield (instruction, answer) of what the base model is trained on, rated examples included."""
    settings = Tinyworld(seed=SEED)
    left = (
        settings.steps
        * settings.gradient_accumulation_steps
        * settings.batch_size
        * settings.sequence_length
    )
    for text in pretraining_texts(SEED, settings.mixture):
        question, answer = (turn["content"] for turn in text.chat)
        left -= len(question) + len(answer) + TURN_SIGNS
        shown = question.split("\n")
        yield (shown[1], text.shown_answer) if question.startswith(HEAD) else (question, answer)
        if left <= 0:
            return


def tuned_on() -> Text:
    """Yield what Storm's fine-tunes are trained on: the pool, and the partner's chats."""
    partner = TinyworldSibling(seed=SEED)
    rows = [
        *itertools.islice(pool_rows(SEED), 4000),
        *partner_rows(SEED, partner.families, partner.difficulties, partner.rows),
    ]
    for row in rows:
        yield row["messages"][0]["content"], row["truth_response"]


def asked_in(preset: str) -> Text:
    """Yield what a preset of questions holds."""
    settings = yaml.safe_load((CONF / f"{preset}.yaml").read_text(encoding="utf-8"))
    del settings["defaults"]
    made = TinyworldQuestions(seed=SEED, **settings)
    stream = made.questions(random.Random(f"questions {SEED}"))
    for example in itertools.islice(stream, made.rows * made.turns):
        yield example.instruction, example.response


def table() -> str:
    """Return the Markdown table."""
    grown, tuned = list(grown_up_on()), list(tuned_on())
    mathematics = [*asked_in("corpus"), *asked_in("mathematics")]
    texts = dict.fromkeys(("following", "lookup", "reasoning", "tools"), grown + tuned)
    texts["arithmetic"] = grown + mathematics
    lines = [f"| task | {' | '.join(DIFFICULTIES)} | verbatim |", "| --- " * 5 + "|"]
    for task, text in texts.items():
        file = TASKS / f"{task}.jsonl"
        questions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        found = count_twins(questions, text)
        cells = [_cell(found[difficulty]) for difficulty in DIFFICULTIES]
        verbatim = sum(twins.verbatim for twins in found.values())
        lines.append(f"| {task} | {' | '.join(cells)} | {verbatim} |")
    return "\n".join(lines)


def _cell(twins: Twins) -> str:
    looser = f" ({twins.shuffled})" if twins.shuffled != twins.retold else ""
    return f"{twins.retold}{looser} of {twins.questions}"


if __name__ == "__main__":
    print(table())

"""Recipes of one step made small: their lines in README and cookbook, and files of one's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from storm_data.testing import make_chats
from storm_models.testing import make_model

FOLDER = "tinyworld/"
"""Of the recipes in miniature."""
STEPS = {
    "sft": ["finetuner.steps=2", "finetuner.validation_rows=4", "evaluator.limit=4"],
    "dpo": ["finetuner.steps=2", "finetuner.validation_rows=4", "evaluator.limit=4"],
    "pretrain": ["finetuner.steps=2", "finetuner.validation_rows=4", "evaluator.limit=4"],
    "distil": ["finetuner.steps=2", "finetuner.validation_rows=4", "evaluator.limit=4"],
    "evaluate": ["evaluator.limit=4"],
    "curate": ["curator.min_education=1", "curator.difficulties=[easy,medium,hard]"],
    "decontaminate": [],
    "merge": [],
    "prune": ["scanner.samples=8", "scanner.max_length=96", "evaluator.limit=4"],
    "export": [],
}
"""What makes each recipe quick."""
_MODEL, _DATA = "base_model=tinyworld/smoke", "dataset=tinyworld/smoke"
_FEW = ("steps=2", "validation_rows=4")
_ROWS = "dataset.rows=60 dataset.validation_rows=12"
_TUNED = " ".join(f"{stage}.{value}" for stage in ("finetuner", "touched") for value in _FEW)
SMALL = {
    "sft": f"{_MODEL} {_DATA}",
    "dpo": f"{_MODEL} {_ROWS}",
    "pretrain": f"{_MODEL} {_ROWS} base_model@tokenizer=tinyworld/smoke",
    "distil": f"base_model@teacher=tinyworld/smoke {_DATA}",
    "evaluate": f"{_MODEL} evaluator=tinyworld/smoke",
    "curate": f"{_MODEL} {_DATA} judge=tinyworld/smoke curator=tinyworld/smoke",
    "decontaminate": f"{_MODEL} evaluator=tinyworld/smoke {_ROWS} leaks.leaks=2 {_TUNED}",
    "merge": f"{_MODEL} finetuner@partner=tinyworld/sibling_smoke",
    "prune": f"{_MODEL} {_DATA}",
    "export": _MODEL,
}
"""What the miniature is replaced by, which `smoke` has made already."""
NO_HUB = {"evaluator.tasks=[arc_easy,gsm8k]", "evaluator=h6"}
"""Tasks whose data is on the hub."""


def step(words: list[str]) -> str:
    """Return the name of the recipe of one step in a line, without its folder; else nothing."""
    names = [word.removeprefix("recipe=") for word in words if word.startswith("recipe=")]
    return next((n.removeprefix(FOLDER) for n in names if n.removeprefix(FOLDER) in STEPS), "")


def quick_words(command: str) -> list[str]:
    """Return the words of a line with what makes it quick."""
    words = ["evaluator=tinyworld/smoke" if w in NO_HUB else w for w in shlex.split(command)]
    name = step(words)
    if words[0] == "plan":
        return words
    if f"recipe={FOLDER}{name}" in words:
        chosen = {word.partition("=")[0] for word in words}
        words += [word for word in SMALL[name].split() if word.partition("=")[0] not in chosen]
    return words + STEPS[name]


def write_files(folder: Path) -> None:
    """Write the models and data that the lines name, small ones, under those names."""
    for seed, name in enumerate(("MODEL", "A", "B")):
        make_model(folder / name, seed=seed)
    make_model(folder / "LARGE", layers=3)
    make_model(folder / "SMALL", layers=1)
    make_chats(folder / "CHATS.jsonl")
    chats = (folder / "CHATS.jsonl").read_text(encoding="utf-8").splitlines()
    turns = [json.loads(line)["messages"] for line in chats]
    pairs = [
        {"prompt": asked["content"], "chosen": answer["content"], "rejected": "I do not know."}
        for asked, answer in turns
    ]
    (folder / "PAIRS.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    questions = [{"question": answer["content"], "task": "mine"} for _, answer in turns[:6]]
    (folder / "QUESTIONS.jsonl").write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")
    texts = folder / "TEXTS"
    texts.mkdir()
    for number, (_, answer) in enumerate(turns):
        (texts / f"{number}.txt").write_text(answer["content"], encoding="utf-8")

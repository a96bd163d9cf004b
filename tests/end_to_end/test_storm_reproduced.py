"""Storm's whole graph on a few rows of a file, reproduced: here, with other threads, other data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from end_to_end.workplace import Workplace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL = (
    "base_model=tinyworld/smoke",
    "finetuner@partner=tinyworld/sibling_smoke",
    "judge=tinyworld/smoke",
    "curator=tinyworld/smoke",
    "dataset=chat_jsonl",
    "dataset.path='chats of storm.jsonl'",
    "dataset.validation_rows=12",
    "finetuner.steps=6",
    "finetuner.validation_rows=4",
)


@pytest.fixture(scope="module")
def storm(smoked: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Return a folder in which Storm has run on the chats of a file."""
    place = Workplace(tmp_path_factory.mktemp("storm on few rows"))
    shutil.copytree(smoked.folder / "outputs/store", place.folder / "outputs/store", symlinks=True)
    (made,) = (stage for stage in smoked.stages() if stage["stage"] == "dataset")
    rows = pq.read_table(Path(made["directory"]) / "train.parquet").to_pylist()
    lines = [json.dumps({"id": row["id"], "messages": row["messages"]}) for row in rows]
    (place.folder / "chats of storm.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    place.run_interpreter("recipe=storm", *SMALL, "name=few")
    return place


def verdict(storm: Workplace, *words: str, code: int = 0) -> str:
    return storm.run_interpreter("reproduce", "few", *words, code=code).partition("verdict      ")[
        2
    ]


def test_it_comes_to_the_same_bits(storm: Workplace) -> None:
    assert verdict(storm).startswith("same bits: all ")


def test_other_threads_come_to_the_same_bits_or_to_noise(storm: Workplace) -> None:
    assert verdict(storm, "runtime.threads=2").startswith(("same bits", "same within noise"))


def test_a_changed_row_differs_from_what_was_made_of_it_on(storm: Workplace) -> None:
    file = storm.folder / "chats of storm.jsonl"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"content": "', '"content": "Well. ', 1), encoding="utf-8")
    said = verdict(storm, code=1)
    assert said.startswith("different from judge on: dataset: what it reads from outside the store")

"""`storm-exp compare`: what differs between two runs, cells or artifacts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exams import write_recipe
from storm_data.dataset import Dataset
from storm_data.rows.document import document_schema
from storm_data.testing import make_chats
from storm_evaluation.side_by_side.rows import row_changes
from storm_exp.testing import CommandResult

Command = Callable[..., CommandResult]
PAGE = Path(__file__).parents[3] / "docs/reproducing.md"
LINES = re.findall(r"^    storm-exp (compare .*)$", PAGE.read_text(encoding="utf-8"), re.M)


@pytest.fixture
def two(storm: Command, tmp_path: Path) -> Command:
    """Two runs, of which the second adds more."""
    words = write_recipe(tmp_path)
    storm(*words, "name=one")
    storm(*words, "name=two", "adder.drift=10")
    return storm


def found(result: CommandResult) -> dict[str, Any]:
    assert result.code == 0, result.err
    (item,) = json.loads(result.out)["items"]
    assert isinstance(item, dict)
    return item


def test_runs_differ_in_settings_lineage_scores_and_questions(two: Command) -> None:
    result = two("compare", "one", "two")
    assert result.code == 0, result.err
    shown = result.out.splitlines()
    assert shown[:3] == [
        "stages    1 shared; they differ from adder on",
        "  adder: drift: 1e-09 → 10.0",
        "  made of what differs: total, examiner[adder], examiner[total]",
    ]
    scores = [line for line in shown if line.startswith("score")]
    assert scores[0].startswith("score     examiner[adder]: 0.41 → 0.5, difference +0.0900 [")
    counts = "54 of 600 questions flipped, 54 for the better, 0 for the worse"
    assert f"questions examiner[adder], smaller: {counts}" in shown
    asked = shown.index("  smaller: Is <b>48</b> smaller?")
    assert shown[asked + 1 : asked + 4] == [
        "    expected yes",
        "    first    no (0)",
        "    second   yes (1)",
    ]
    assert len(shown) < 60


def test_all_of_it_is_in_json(two: Command) -> None:
    item = found(two("compare", "one", "two", "--json"))
    task = item["questions"][0]
    assert (task["gained"], len(task["flips"])) == (54, 54)
    assert task["flips"][0]["prompt"].startswith("Is <b>")
    assert item["stages"][1] == {"label": "total", "what": []}
    assert item["notes"] == []


def test_a_run_is_the_same_as_itself(two: Command) -> None:
    assert two("compare", "one", "one").out == (
        "stages    the same 5, so all that follows is the same\n"
    )


def test_cells_of_a_sweep_are_compared_by_their_folders(storm: Command) -> None:
    storm("-m", "recipe=sum", "adder.amount=1,2", "source=number,three")
    cells = "outputs/latest/cells"
    names = [f"{cells}/adder.amount={n},source=number" for n in (1, 2)]
    result = storm("compare", *names)
    assert "  adder: amount: 1.0 → 2.0" in result.out.splitlines()
    refused = storm("compare", "latest", "latest").error
    assert "latest is a sweep: name two of its 4 cells (" in refused
    assert "cells/adder.amount=1,source=number" in refused


def test_single_models_of_an_evaluator_are_compared_whatever_their_stages(
    storm: Command, tmp_path: Path
) -> None:
    words = write_recipe(tmp_path)
    storm(*words, "name=one", "graph.examiner.number=[adder]")
    storm(*words, "name=two", "graph.examiner.number=[total]", "adder.drift=10")
    item = found(storm("compare", "one", "two", "--json"))
    labels = {pair["label"] for pair in item["scores"]}
    assert labels == {"examiner[adder] → examiner[total]"}
    assert {each["label"] for each in item["questions"]} == labels
    storm(*words, "name=both")
    assert found(storm("compare", "one", "both", "--json"))["scores"] == []


def test_artifacts_are_compared_by_label_and_by_key(two: Command) -> None:
    result = two("compare", "adder", "total")
    assert result.code == 0, result.err
    assert "  itself: component: drifting → collect" in result.out
    keys = [two("runs", "show", name, "--json").out for name in ("one", "two")]
    stages = [json.loads(text)["items"][0]["cells"][0]["stages"] for text in keys]
    evaluations = [s["key"][:16] for each in stages for s in each if s["element"] == "adder"]
    item = found(two("compare", *evaluations, "--json"))
    assert [pair["label"] for pair in item["scores"]] == ["itself"]
    assert item["questions"][0]["gained"] == 54
    # Models of the latest run are compared by what the run evaluated.
    item = found(two("compare", "adder", "total", "--json"))
    assert item["questions"][0]["label"] == "examiner"


def test_a_lost_evaluation_is_noted(two: Command) -> None:
    label = "outputs/latest/examiner/adder"
    place = Path(two("runs", "show", "two", "--json") and label).resolve()
    place.rename(place.with_name("lost"))
    result = two("compare", "one", "two")
    assert result.code == 0, result.err
    assert "scores of examiner[adder] cannot be compared: " in result.out
    assert "score     examiner[total]" in result.out


def test_runs_without_common_questions_say_so(storm: Command, tmp_path: Path) -> None:
    words = write_recipe(tmp_path)
    storm(*words, "name=one", "examiner.questions=20")
    storm(*words, "name=two", "examiner.questions=30", "adder.drift=10")
    result = storm("compare", "one", "two")
    assert result.code == 0
    assert "evaluations 0 and 1" in result.out and "different documents" in result.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["one"], "compare takes two runs, cells or artifacts, and was given one"),
        (["one", "three"], "no run 'three' in outputs"),
        (["one", "three"], "a stage of the latest run (adder, other, source, total) or the first"),
        (["one", "--jason"], "compare --jason: no such flag; did you mean '--json'?"),
        (["one", "two", "--margin=0"], "compare --margin 0: give a difference of scores"),
        (["one", "."], "is no artifact of a store, so nothing says what it is"),
    ],
)
def test_what_cannot_be_compared_is_refused(storm: Command, words: list[str], error: str) -> None:
    storm("recipe=sum", "name=one")
    result = storm("compare", *words)
    assert result.code == 1
    assert error in result.error


def data(folder: Path, texts: list[str], split: str = "train") -> Path:
    folder.mkdir(exist_ok=True)
    rows = [{"id": str(n), "source": "made", "text": text} for n, text in enumerate(texts)]
    Dataset(folder).write(split, rows, document_schema())
    return folder


def test_rows_that_entered_and_left_are_counted_by_content(tmp_path: Path) -> None:
    first = data(tmp_path / "first", ["a", "b", "b", "c"])
    second = data(tmp_path / "second", ["c", "b", "d", "x" * 500])
    data(second, ["e"], "rejected")
    train, rejected = sorted(row_changes("curator", first, second), key=lambda c: c.split)[::-1]
    assert (train.first, train.second, train.left, train.entered) == (4, 4, 2, 2)
    assert train.examples_left == ["a", "b"]
    assert train.examples_entered == ["d", "x" * 159 + "…"]
    assert (rejected.first, rejected.second, rejected.entered) == (0, 1, 1)


def test_the_same_rows_in_another_order_are_no_change(tmp_path: Path) -> None:
    first, second = data(tmp_path / "first", ["a", "b"]), data(tmp_path / "second", ["b", "a"])
    assert row_changes("curator", first, second) == []


def test_rows_of_runs_are_compared(storm: Command, tmp_path: Path) -> None:
    chats = make_chats(tmp_path / "chats.jsonl", rows=40)
    words = ["recipe=sft", "targets=[dataset]", "base_model.path=.", f"dataset.path={chats}"]
    storm(*words, "name=one")
    text = chats.read_text(encoding="utf-8")
    chats.write_text(text.replace("Tell", "\\u001b[2JTell", 1), encoding="utf-8")
    storm(*words, "name=two")
    result = storm("compare", "one", "two")
    assert "  dataset: what it reads from outside the store has changed" in result.out
    assert "1 left, 1 entered" in result.out
    assert "\\x1b[2JTell" in result.out and "\x1b" not in result.out


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_page_runs(two: Command, line: str) -> None:
    words = shlex.split(line.replace("base_model", "adder").replace("merger", "total"))
    assert two(*[{"my-run": "one"}.get(word, word) for word in words]).code == 0

"""Every line of docs/cookbook.md runs: in miniature, and on a small model and data of one's own."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from end_to_end.small import FOLDER, STEPS, quick_words, write_files
from end_to_end.workplace import Workplace
from storm_data.dataset import Dataset
from storm_exp.testing import run
from storm_tinyworld.corpora.leaks import WHOLE as WHOLE_LEAKS

PAGE = (Path(__file__).parents[2] / "docs/cookbook.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    storm-exp (.*)$", PAGE, re.M)
WHOLE = [c for c in COMMANDS if "recipe=storm_own" in c]
"""Recipes of many steps, which run elsewhere (test_own_model.py)."""

AGAIN = ["dataset.path=outputs/latest/exporter/train.jsonl", "dataset.validation_rows=0"]


@pytest.fixture(scope="module")
def kitchen(smoked: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace that all lines share, with the store of a run of `smoke` and one's own files."""
    place = Workplace(tmp_path_factory.mktemp("kitchen"))
    target = place.folder / "outputs"
    target.mkdir()
    subprocess.run(["cp", "-a", str(smoked.folder / "outputs/store"), str(target)], check=True)
    write_files(place.folder)
    return place


@pytest.mark.parametrize("command", COMMANDS)
def test_a_line_of_the_page_is_planned(command: str, kitchen: Workplace) -> None:
    words = shlex.split(command) if command in WHOLE else quick_words(command)
    result = run(kitchen.folder, *([] if words[0] == "plan" else ["plan"]), *words)
    assert result.code == 0, result.err


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in WHOLE])
def test_a_line_of_the_page_runs(command: str, kitchen: Workplace) -> None:
    assert kitchen.run(*quick_words(command))


def test_every_recipe_of_one_step_is_on_the_page_in_miniature_and_for_ones_own() -> None:
    words = {word for command in COMMANDS for word in command.split()}
    assert {f"recipe={folder}{name}" for name in STEPS for folder in ("", FOLDER)} <= words


@pytest.mark.slow
def test_curated_rows_leave_as_jsonl(kitchen: Workplace) -> None:
    kitchen.run(*quick_words("recipe=tinyworld/curate"))
    latest = kitchen.folder / "outputs/latest"
    rows = (latest / "exporter/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert {role["role"] for role in json.loads(rows[0])["messages"]} >= {"user", "assistant"}
    kitchen.run("recipe=curate", *AGAIN, "base_model=tinyworld/smoke", "targets=[dataset]")
    (read,) = [stage for stage in kitchen.stages() if stage["stage"] == "dataset"]
    assert read["metrics"]["train"] + read["metrics"]["validation"] == len(rows)


@pytest.mark.slow
def test_models_of_a_sweep_are_compared_question_by_question(kitchen: Workplace) -> None:
    words = "-m recipe=evaluate base_model.path=A,B evaluator=held_out dataset.path=CHATS.jsonl"
    said = kitchen.run(*words.split(), "evaluator.limit=4")
    assert re.search(r"^base_model\.path +evaluator loss\nA +\S+ ± .*\nB +\S+ ± ", said, re.M), said
    report = (kitchen.folder / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert "Over questions" in report
    assert "evaluator: paired over questions" in report


@pytest.mark.slow
def test_planted_questions_leave_with_their_rows(kitchen: Workplace) -> None:
    kitchen.run(*quick_words("recipe=tinyworld/decontaminate"))
    latest = kitchen.folder / "outputs/latest"
    planted = [row for row in Dataset(latest / "leaks").rows("train") if row["truth_leak"]]
    whole = {row["id"] for row in planted if json.loads(row["truth_leak"])["family"] in WHOLE_LEAKS}
    removed = {row["id"] for row in Dataset(latest / "decontaminator").rows("rejected")}
    assert len(whole) == 8 and whole <= removed
    rows = (latest / "exporter/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert not whole & {json.loads(row).get("id") for row in rows}
    report = (latest / "report.html").read_text(encoding="utf-8")
    assert "of 72 rows hold a question of an evaluation, and were removed" in report

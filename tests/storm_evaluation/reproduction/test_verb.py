"""`storm-exp reproduce`: the four verdicts, and what cannot be reproduced."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exams import write_recipe
from storm_data.testing import make_chats
from storm_exp.testing import CommandResult

PAGE = Path(__file__).parents[3] / "docs/reproducing.md"
LINES = re.findall(r"^    storm-exp (reproduce .*)$", PAGE.read_text(encoding="utf-8"), re.M)
Command = Callable[..., CommandResult]


def verdict(result: CommandResult) -> str:
    (line,) = [text for text in result.out.splitlines() if text.startswith("verdict")]
    return line.removeprefix("verdict").strip()


def answer(result: CommandResult) -> dict[str, Any]:
    (item,) = json.loads(result.out)["items"]
    assert isinstance(item, dict)
    return item


def test_a_run_comes_to_the_same_bits_in_a_store_of_its_own(storm: Command, tmp_path: Path) -> None:
    first = storm("recipe=sum")
    result = storm("reproduce", "latest")
    assert verdict(result) == "same bits: all 4 artifacts have the digests that they had"
    assert result.code == 0
    assert result.record is not None and first.record is not None
    assert {stage.status for stage in result.record.stages()} == {"made"}
    folder = tmp_path / "outputs/reproduced" / first.record.directory.name
    assert (folder / "store/artifacts").is_dir()
    assert (tmp_path / "outputs/latest").resolve() == first.record.directory


def test_it_reruns_the_record_and_not_what_presets_say_today(
    storm: Command, tmp_path: Path
) -> None:
    words = write_recipe(tmp_path)
    assert storm(*words, "adder=add", "adder.amount=7").code == 0
    shutil.rmtree(tmp_path / "conf")
    result = storm("reproduce", "latest")
    assert verdict(result).startswith("same bits")
    assert result.stage("adder").settings == {"amount": 7.0}


def test_a_stage_that_was_null_is_missing_in_the_lists_that_name_it(storm: Command) -> None:
    assert storm("recipe=sum", "graph.other=null").code == 0
    assert verdict(storm("reproduce", "latest")).startswith("same bits: all 3 artifacts")


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_page_runs(storm: Command, tmp_path: Path, line: str) -> None:
    storm(*write_recipe(tmp_path))
    assert storm(*shlex.split(line)).code == 0


def test_cells_of_a_sweep_are_rerun_together(storm: Command) -> None:
    storm("-m", "recipe=each", "source.value=1,2")
    result = storm("reproduce", "latest", "--json")
    found = answer(result)
    assert (result.code, found["verdict"]) == (0, "same bits")
    assert [len(cell) for cell in found["cells"]] == [7, 7]


def test_a_cell_of_a_sweep_is_rerun_by_itself(storm: Command, tmp_path: Path) -> None:
    sweep = storm("-m", "recipe=sum", "source.value=1,2")
    assert sweep.record is not None
    for cell in ("outputs/latest/cells/source.value=2", "outputs/latest/cells/source.value=2/"):
        result = storm("reproduce", cell, "--json")
        found = answer(result)
        assert (result.code, found["verdict"], len(found["cells"])) == (0, "same bits", 1)
        assert Path(found["folder"]).name.startswith(
            f"{sweep.record.directory.name},source.value=2"
        )
        assert result.stage("source").settings == {"value": 2.0}
    result = storm("reproduce", f"{sweep.record.directory}/cells/source.value=1", "adder.amount=3")
    assert verdict(result) == "different from adder on: amount: 1.0 → 3.0"
    result = storm("reproduce", "outputs/latest/cells/source.value=9")
    assert "no run 'outputs/latest/cells/source.value=9'" in result.err


def test_what_differs_and_is_not_evaluated_is_not_within_noise(
    storm: Command, tmp_path: Path
) -> None:
    words = write_recipe(tmp_path)
    file = tmp_path / "conf/recipe/exam.yaml"
    text = file.read_text(encoding="utf-8")
    text = text.replace("  - /total", "  - /adder@other: drifting\n  - /total")
    file.write_text(text.replace("graph:\n", "graph:\n  other: {number: source}\n"), "utf-8")
    storm(*words, "other.drift=10")
    result = storm("reproduce", "latest", "runtime.threads=2")
    assert verdict(result) == (
        "cannot say: bits differ from adder on, and no evaluation is made of other, which differs"
    )
    assert result.code == 1


def test_other_bits_with_the_same_answers_are_within_noise(storm: Command, tmp_path: Path) -> None:
    storm(*write_recipe(tmp_path))
    result = storm("reproduce", "latest", "runtime.threads=2")
    assert verdict(result) == (
        "same within noise: bits differ from adder on, and scores within ± 0.02 of what they were "
        "(90 % intervals, paired by question)"
    )
    assert result.code == 0
    assert "environment  threads: 1 → 2" in result.out


def test_few_questions_cannot_say_that_it_is_noise(storm: Command, tmp_path: Path) -> None:
    storm(*write_recipe(tmp_path), "examiner.questions=20", "adder.drift=1")
    result = storm("reproduce", "latest", "runtime.threads=2")
    assert verdict(result).startswith("cannot say: bits differ from adder on, and 20 questions")
    assert result.code == 1
    result = storm("reproduce", "latest", "runtime.threads=2", "--margin", "0.5")
    assert verdict(result).startswith("same within noise")


def test_scores_that_differ_are_different_from_the_first_stage_on(
    storm: Command, tmp_path: Path
) -> None:
    storm(*write_recipe(tmp_path), "adder.drift=10")
    result = storm("reproduce", "latest", "runtime.threads=3")
    assert verdict(result).startswith(
        "different from adder on: examiner[adder]: 0.5 → 0.7, difference +0.2000 ["
    )
    assert result.code == 1


def test_without_an_evaluation_other_bits_say_nothing(storm: Command, tmp_path: Path) -> None:
    storm(*write_recipe(tmp_path), "targets=[total]")
    result = storm("reproduce", "latest", "runtime.threads=2")
    why = "bits differ from adder on, and there is no evaluation to compare"
    assert verdict(result) == f"cannot say: {why}"


def test_changed_data_differ_from_what_was_made_of_them_on(storm: Command, tmp_path: Path) -> None:
    file = tmp_path / "number.txt"
    file.write_text("3", encoding="utf-8")
    storm("recipe=sum", "source=from_file", f"source.path={file}")
    assert verdict(storm("reproduce", "latest")).startswith("same bits")
    file.write_text("3.0", encoding="utf-8")  # other bytes, the same number
    assert verdict(storm("reproduce", "latest")).startswith("same bits")
    file.write_text("4", encoding="utf-8")
    assert verdict(storm("reproduce", "latest")) == (
        "different from adder on: source: what it reads from outside the store has changed"
    )
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("3", encoding="utf-8")
    file.unlink()
    result = storm("reproduce", "latest")
    assert verdict(result).startswith("cannot say: source.path=")
    assert "there is no such file" in verdict(result)
    assert verdict(storm("reproduce", "latest", f"source.path={elsewhere}")).startswith("same bits")


def test_a_changed_row_differs_from_the_curator_on(storm: Command, tmp_path: Path) -> None:
    chats = make_chats(tmp_path / "chats.jsonl", rows=40)
    words = ["recipe=curate", "curator=keep_all", "base_model.path=.", f"dataset.path={chats}"]
    run = storm(*words, "targets=[curator]")
    assert run.code == 0, run.err
    assert verdict(storm("reproduce", "latest")).startswith("same bits: all 2 artifacts")
    text = chats.read_text(encoding="utf-8")
    chats.write_text(text.replace("Tell", "Show", 1), encoding="utf-8")
    assert verdict(storm("reproduce", "latest")) == (
        "different from curator on: dataset: what it reads from outside the store has changed"
    )


def test_changed_data_that_change_nothing_further_say_nothing(
    storm: Command, tmp_path: Path
) -> None:
    file = tmp_path / "number.txt"
    file.write_text("3", encoding="utf-8")
    storm("recipe=sum", "source=from_file", f"source.path={file}", "targets=[source]")
    file.write_text("4", encoding="utf-8")
    assert verdict(storm("reproduce", "latest")) == (
        "cannot say: source: what it reads from outside the store has changed, and nothing that "
        "was made of it differs"
    )


def test_another_setting_is_another_experiment(storm: Command) -> None:
    storm("recipe=sum")
    result = storm("reproduce", "latest", "adder.amount=2")
    assert verdict(result) == "different from adder on: amount: 1.0 → 2.0"


def test_an_interrupted_rerun_goes_on_in_its_folder(storm: Command, tmp_path: Path) -> None:
    storm("recipe=sum")
    storm("reproduce", "latest", "--in", "again", "targets=[adder]")
    result = storm("reproduce", "latest", "--in", "again")
    assert result.stage("adder").status == "kept"
    assert result.stage("total").status == "made"
    assert verdict(result).startswith("same bits")


def test_a_stage_that_fails_in_the_rerun_cannot_say(storm: Command) -> None:
    storm("recipe=sum", "adder=fussy")
    result = storm("reproduce", "latest", "source.value=9")
    assert verdict(result).startswith("cannot say: adder failed with")
    assert "that is too much" in verdict(result)


def test_a_store_that_lost_an_evaluation_cannot_say(storm: Command, tmp_path: Path) -> None:
    run = storm(*write_recipe(tmp_path))
    place = Path(run.stage("examiner[adder]").directory)
    place.rename(place.with_name("lost"))
    assert verdict(storm("reproduce", "latest")).startswith("same bits")
    result = storm("reproduce", "latest", "runtime.threads=2")
    assert verdict(result).startswith(
        "cannot say: bits differ from adder on, and examiner[adder] cannot"
    )


def test_a_component_that_nobody_brings_is_named(storm: Command, tmp_path: Path) -> None:
    run = storm("recipe=sum")
    assert run.record is not None
    file = run.record.directory / "run.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"add"', '"ad"'), encoding="utf-8")
    result = storm("reproduce", "latest")
    assert verdict(result).startswith("cannot say: adder: no plugin here brings the component 'ad'")
    assert "did you mean 'add'" in verdict(result)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "reproduce takes one RUN, CARD or recipe.lock.json, and was given nothing"),
        (["a", "b"], "was given a, b"),
        (["latest"], "there is no run in outputs"),
        (["latest", "--jsn"], "reproduce --jsn: no such flag; did you mean '--json'?"),
        (["latest", "--margin", "2"], "--margin 2: give a difference of scores above 0, below 1"),
        (["latest", "store.path=x"], "store.path=x: it reproduces in a store of its own"),
        (["latest", "adder.amount=1,2"], "reproduce adder.amount=1,2: give one value"),
        (["latest", "--in", __file__], "this is a file: give a folder"),
    ],
)
def test_a_command_line_that_means_nothing_is_refused(
    storm: Command, words: list[str], error: str
) -> None:
    result = storm("reproduce", *words)
    assert result.code == 1
    assert error in result.error


def test_an_unknown_run_is_answered_with_the_nearest(storm: Command) -> None:
    storm("recipe=sum", "name=first")
    assert "no run 'frist' in outputs; did you mean 'first'" in storm("reproduce", "frist").error


@pytest.mark.parametrize("name", ["my outputs", "a,b=c(d)[e]{f}#\u00fc", "it's"])
def test_it_runs_below_a_folder_of_any_name(storm: Command, tmp_path: Path, name: str) -> None:
    storm("recipe=sum", f'outputs="{name}"')
    result = storm("reproduce", "latest", f"outputs={name}")
    assert verdict(result).startswith("same bits"), result.err
    assert (tmp_path / name / "reproduced").is_dir()


def test_a_run_that_was_killed_has_no_record_to_reproduce(storm: Command) -> None:
    run = storm("recipe=sum")
    assert run.record is not None
    (run.record.directory / "run.json").unlink()
    error = storm("reproduce", "latest").error
    assert error.endswith("no record: it goes on, or it was killed")


def test_a_run_of_another_version_is_refused(storm: Command) -> None:
    run = storm("recipe=sum")
    assert run.record is not None
    file = run.record.directory / "run.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | {"colour": "blue"}), encoding="utf-8")
    result = storm("reproduce", "latest")
    assert "'colour' is unknown here" in result.error
    assert "another version of storm-exp" in result.error

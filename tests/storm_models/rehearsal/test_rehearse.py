"""The verb `rehearse`: a recipe with substitutes, in a separate store, with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from storm_exp.report import RunRecord
from storm_exp.testing import CommandResult, installed, run

LARGE = ("recipe=sum", "source=large", "adder=proportional")


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    """Install the toy plugins for the tests of this module."""
    with installed(Path(__file__).parents[2] / "toys"):
        yield


@pytest.fixture
def storm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CommandResult]:
    """Return the command line, called inside this process and an empty folder."""
    monkeypatch.chdir(tmp_path)
    return partial(run, tmp_path)


def rehearsed(tmp_path):
    record = RunRecord.read((tmp_path / "outputs/rehearsals/latest").resolve())
    return {stage.label: stage for stage in record.stages()}


def test_a_rehearsal_runs_substitutes_and_reduced_settings(storm, tmp_path):
    said = storm("rehearse", *LARGE, "other.amount=1")
    assert said.code == 0, said.err
    stages = rehearsed(tmp_path)
    assert stages["source"].component == "stand_in"
    assert stages["source"].metrics["value"] == 5
    assert stages["adder"].metrics["value"] == 105
    assert stages["total"].metrics["value"] == 5 + 105 + 6


def test_changed_and_unchanged_stages_are_listed(storm):
    said = storm("rehearse", *LARGE, "other.amount=1")
    assert "source (large): replaced by stand_in" in said.err
    assert "adder (proportional): amount 1000.0 → 100.0" in said.err
    assert "total (collect): unchanged; the component declares no rehearsal" in said.err
    verdict = said.out[said.out.index("rehearsal passed: 4 stages ran") :]
    assert "whether there is room for a large number" in verdict
    assert "memory, speed and disk" in verdict
    assert "replaced in whole or in part: source" in verdict


def test_a_rehearsal_s_record_has_its_scale_and_verdict(storm, tmp_path):
    assert storm("rehearse", *LARGE, "other.amount=1").code == 0
    record = RunRecord.read((tmp_path / "outputs/rehearsals/latest").resolve())
    assert record.scale == "rehearsal on twins"
    assert "replaced in whole or in part: source" in record.rehearsal
    assert "scores mean nothing" in record.rehearsal[-1]
    assert storm("rehearse", "recipe=sum").code == 0
    record = RunRecord.read((tmp_path / "outputs/rehearsals/latest").resolve())
    assert record.scale == "rehearsal"
    assert storm("recipe=sum").code == 0
    assert RunRecord.read((tmp_path / "outputs/latest").resolve()).rehearsal == []


def test_a_rehearsal_changes_neither_the_store_nor_latest(storm, tmp_path):
    assert storm("recipe=sum").code == 0
    latest = (tmp_path / "outputs/latest").readlink()
    kept = sorted((tmp_path / "outputs/store/artifacts").glob("??/*"))
    assert storm("rehearse", "recipe=sum").code == 0
    assert (tmp_path / "outputs/latest").readlink() == latest
    assert sorted((tmp_path / "outputs/store/artifacts").glob("??/*")) == kept
    others = {p.name for p in (tmp_path / "outputs/rehearsals/store/artifacts").glob("??/*")}
    assert others
    assert not others & {folder.name for folder in kept}


def test_a_stage_is_rehearsed_again_only_if_something_changed(storm, monkeypatch, tmp_path):
    assert storm("rehearse", "recipe=sum").code == 0
    said = storm("rehearse", "recipe=sum")
    assert "4 were rehearsed before and nothing has changed since" in said.out
    monkeypatch.setattr(
        "storm_models.rehearsal.environment.installed_distributions",
        lambda: {"numpy": "another version"},
    )
    said = storm("rehearse", "recipe=sum")
    assert "rehearsal passed: 4 stages ran" in said.out
    assert "rehearsed before" not in said.out


def test_a_rehearsal_that_fails_names_stage_and_cause(storm):
    said = storm("rehearse", "recipe=sum", "adder=fussy", "adder.limit=0.5")
    assert said.code == 1
    assert "the rehearsal failed in adder failed with ArithmeticError: that is too much" in said.err
    assert "rehearsal failed; 2 of 4 stages ran" in said.out


def test_a_recipe_that_the_plan_refuses_is_not_rehearsed(storm, tmp_path):
    said = storm("rehearse", "recipe=sum", "adder.amount=100")
    assert said.code == 1
    assert "adder.amount=100.0: the sum would be more than 100" in said.err
    assert "nothing was rehearsed: the plan refuses the recipe" in said.out
    assert not (tmp_path / "outputs/rehearsals").exists()


def test_one_device_rehearses_for_several(storm):
    said = storm("rehearse", "recipe=sum", "runtime.devices=8", "runtime.accelerator=h100")
    assert said.code == 0, said.err
    assert "how 8 devices work together" in said.out


def test_a_substitute_of_another_type_breaks_the_contract(storm):
    said = storm("rehearse", "recipe=sum", "adder=badly_rehearsed")
    assert said.code == 1
    assert "'badly_rehearsed' makes Text, not Value" in said.err


def test_the_cells_of_a_sweep_are_rehearsed_together(storm, tmp_path):
    said = storm("rehearse", "-m", *LARGE, "adder.again=1,2", "other.amount=1")
    assert said.code == 0, said.err
    record = RunRecord.read((tmp_path / "outputs/rehearsals/latest").resolve())
    totals = [cell.stages[-1].metrics["value"] for cell in record.cells]
    assert totals == [116, 216]

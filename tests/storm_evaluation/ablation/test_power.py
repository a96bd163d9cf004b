"""`storm-exp ablate … --power`: what an ablation could see, from a pilot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from made_ablation import CHANCES, ablation
from storm_evaluation.ablation.measured_arms import arms_of
from storm_evaluation.ablation.pilot import find_pilot, of_evaluator
from storm_evaluation.comparison.power import PlannedComparison, variances
from storm_evaluation.comparison.several_runs import SeveralRuns
from storm_exp import ComposeError
from storm_exp.report import RunRecord
from storm_exp.testing import command_line

RECIPE = (
    "recipe=smoke",
    *(f"ablation.controls.{name}=null" for name in ("curation", "spectrum", "slerp")),
)
CURATION = "ablation.controls.curation={says:at random,overrides:['curator=tinyworld/random']}"


def pilot(folder: Path, name: str = "2026-01-01_00-00-00-smoke-sweep", **more) -> RunRecord:
    run = ablation(folder / "outputs/runs" / name, **{"recipe": "smoke", **more})
    run.write()
    return run


def asked(folder: Path, *words: str, seeds: str = "0,1,2,3,4"):
    return command_line.run(folder, "ablate", *RECIPE, f"seed={seeds}", *words)


def test_a_pilot_tells_what_could_be_seen_before_anything_runs(tmp_path):
    run = pilot(tmp_path)
    found = asked(tmp_path, CURATION, "--power", "--json")
    assert found.code == 0, found.err
    items = json.loads(found.out)["items"]
    assert [(item["effect_of"], item["seeds"]) for item in items] == [
        ("curation", 5),
        ("merging", 5),
    ]
    (arms,) = arms_of(run)
    measured = SeveralRuns(arms.match(), runs=3, confidence=0.95)
    known = variances(measured.spread(arms.match(), [arms.effects()["merging"]]), (0,))
    for name, each in (("point", known.alike()), ("pessimistic", known.pessimistic())):
        planned = PlannedComparison(each, arms=3, comparisons=2)
        assert items[1][name] == {
            "smallest": planned.smallest_effect(5),
            "power": planned.power(0.02, 5),
            "seeds": planned.runs_needed(0.02),
        }
    assert items[1]["pessimistic"]["smallest"] > items[1]["point"]["smallest"]
    assert [folder.name for folder in (tmp_path / "outputs/runs").iterdir()] == [run.directory.name]


def test_the_lines_name_pilot_and_effect(tmp_path):
    run = pilot(tmp_path)
    found = asked(tmp_path, "ablation.power=0.05")
    assert found.code == 0, found.err
    assert "0.05 is seen by" in found.out and "0.05 needs" in found.out
    assert f"runs/{run.directory.name}, 3 seeds of 3 arms" in found.out
    assert "the pilot has evaluator.limit=9 and not" in found.out


def test_a_factorials_power_is_of_main_effects_and_interactions(tmp_path):
    pilot(tmp_path, design="full", chances=CHANCES | {"curation+merging": 0.3})
    found = asked(tmp_path, CURATION, "ablation.design=full", "--power", "--json")
    assert found.code == 0, found.err
    items = {item["effect_of"]: item["point"] for item in json.loads(found.out)["items"]}
    assert list(items) == ["curation", "merging", "curation × merging"]
    assert items["curation × merging"]["smallest"] > items["merging"]["smallest"]


def test_the_newest_run_that_can_be_a_pilot_is_taken(tmp_path):
    run = pilot(tmp_path)
    pilot(tmp_path, "2026-01-02_00-00-00-smoke-sweep", seeds=("0",))
    pilot(tmp_path, "2026-01-03_00-00-00-storm-sweep", recipe="storm")
    damaged = tmp_path / "outputs/runs/2026-01-04_00-00-00-smoke-sweep"
    damaged.mkdir()
    (damaged / "run.json").write_text("{}")
    assert find_pilot(tmp_path / "outputs", "smoke", "").directory == run.directory


def test_a_pilot_is_named_as_any_run_is(tmp_path):
    run = pilot(tmp_path)
    pilot(tmp_path, "2026-01-02_00-00-00-smoke-sweep", design="full")
    for word in (run.directory.name, run.directory.name[:10], str(run.directory)):
        assert find_pilot(tmp_path / "outputs", "smoke", word).directory == run.directory


def test_a_pilot_whose_answers_never_vary_promises_nothing(tmp_path):
    pilot(tmp_path, chances=dict.fromkeys(CHANCES, 0.0))
    found = asked(tmp_path, CURATION, "--power")
    assert found.code == 1
    assert "varied between arms and runs, which tells nothing" in found.err


def test_without_a_pilot_it_says_how_to_make_one(tmp_path):
    found = asked(tmp_path, "--power", seeds="0,1")
    assert found.code == 1
    assert "has no pilot, an ablation of smoke with two seeds or more" in found.err
    assert "storm-exp ablate recipe=smoke seed=0,1,2" in found.err


def test_a_pilot_of_one_seed_is_told_what_it_lacks(tmp_path):
    run = pilot(tmp_path, seeds=("0",))
    with pytest.raises(ComposeError, match="has one seed, which shows no variation"):
        find_pilot(tmp_path / "outputs", "smoke", "")
    with pytest.raises(ComposeError, match=rf"ablation.pilot={run.directory}: has one seed"):
        find_pilot(tmp_path / "outputs", "smoke", str(run.directory))


def test_a_record_of_another_version_that_cannot_be_read_is_told(tmp_path):
    run = pilot(tmp_path)
    text = (run.directory / "run.json").read_text(encoding="utf-8")
    (run.directory / "run.json").write_text(text.replace('"cells"', '"recipes"'), encoding="utf-8")
    with pytest.raises(ComposeError, match=f"{run.directory.name} cannot be read"):
        find_pilot(tmp_path / "outputs", "smoke", "")


def test_a_named_run_that_is_no_pilot_is_refused_by_name(tmp_path):
    run = pilot(tmp_path, recipe="storm")
    with pytest.raises(ComposeError, match=r"ablation.pilot=nowhere: no run 'nowhere' in"):
        find_pilot(tmp_path, "smoke", "nowhere")
    with pytest.raises(ComposeError, match="is of the recipe storm, not of smoke"):
        find_pilot(tmp_path, "smoke", str(run.directory))


def test_a_pilot_of_another_design_or_evaluator_is_refused(tmp_path):
    run = pilot(tmp_path)
    with pytest.raises(ComposeError, match=r"has ablation\.design=one_out"):
        of_evaluator(run, "evaluator", "one_in")
    with pytest.raises(ComposeError, match="has no scores of other, but of evaluator"):
        of_evaluator(run, "other", "one_out")


def test_a_plan_of_one_seed_is_refused(tmp_path):
    found = asked(tmp_path, "--power", seeds="0")
    assert found.code == 1
    assert "give several, as in seed=0,1,2" in found.err


def test_a_factor_that_the_pilot_lacks_is_named(tmp_path):
    pilot(tmp_path)
    new = "+ablation.controls.new={says:a,overrides:['merger.t=0.1']}"
    found = asked(tmp_path, "--power", new, seeds="0,1")
    assert found.code == 1
    assert "no effect of new, but of curation, merging" in found.err


def test_a_pilot_whose_evaluation_is_gone_is_refused_by_its_arm(tmp_path):
    run = pilot(tmp_path)
    gone = Path(run.cells[4].stages[0].directory)
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()
    found = asked(tmp_path, "--power", seeds="0,1")
    assert "the evaluation of curation seed=1" in found.err

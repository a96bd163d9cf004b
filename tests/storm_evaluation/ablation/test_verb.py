"""The verb `ablate`, as a user types it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from made_ablation import ablation
from storm_evaluation.evaluation import Evaluation
from storm_exp.report import RunRecord
from storm_exp.testing import command_line

RECIPE = (
    "recipe=smoke",
    *(f"ablation.controls.{name}=null" for name in ("curation", "spectrum", "slerp")),
)


def refused(folder: Path, *words: str) -> str:
    found = command_line.run(folder, "ablate", *words)
    assert found.code == 1
    return found.err


def test_a_recipe_without_a_result_or_controls_is_told_the_setting(tmp_path):
    assert "ablation.result=STAGE" in refused(tmp_path, "recipe=minitron_iterative")
    without = (*RECIPE, "ablation.controls.merging=null")
    assert "ablation.controls.NAME" in refused(tmp_path, *without)


def test_a_control_that_changes_nothing_is_refused_before_anything_is_made(tmp_path):
    same = "+ablation.controls.same={says:the same,overrides:['seed=0']}"
    assert "ablation.controls.same: its control (the same) changes nothing" in refused(
        tmp_path, *RECIPE, same
    )
    assert not list(tmp_path.glob("outputs/runs/*"))


def test_a_control_that_changes_nothing_beside_another_is_refused_in_a_factorial(tmp_path):
    cut = "+ablation.controls.cut={says:no merge,overrides:['merger.t=0.2']}"
    words = (*RECIPE, cut, "ablation.design=full")
    assert (
        "ablation.controls.cut: its control (no merge) changes nothing beside the control of "
        "merging" in refused(tmp_path, *words)
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "merger.t=0.2,0.3",
            "merger.t has the values 0.2, 0.3: the runs of an arm differ in seeds",
        ),
        ("seed=0,0", "seed=0 is given twice"),
    ],
)
def test_runs_of_an_arm_differ_in_seeds_alone(tmp_path, word, said):
    assert said in refused(tmp_path, *RECIPE, word)


def test_a_plan_says_what_arms_share_and_refuses_as_the_verb_does(tmp_path):
    sweep = ("plan", "-m", "hydra/sweeper=ablation", *RECIPE)
    found = command_line.run(tmp_path, *sweep, "seed=0,1")
    assert found.plan is not None
    needed = [node.key for cell in found.plan.cells for node in cell.needed()]
    distinct = len(set(needed))
    assert (
        f"ablation: 2 arms of 2 seeds share {len(needed) - distinct} of the {len(needed)} stages "
        f"that they need: {distinct} are distinct, and {distinct} are to be made"
    ) in found.out
    assert len(needed) - distinct >= 10
    again = command_line.run(tmp_path, *sweep, "seed=0,0")
    assert again.code == 1 and "seed=0 is given twice" in again.err


def test_a_control_without_words_is_refused(tmp_path):
    silent = "+ablation.controls.silent={result:finetuner}"
    assert "ablation" in refused(tmp_path, *RECIPE, silent)


def test_a_word_of_a_control_that_is_no_setting_is_named(tmp_path):
    wrong = "+ablation.controls.a={says:b,overrides:['merger.tt=0.2']}"
    assert "'merger.tt' is not a setting" in refused(tmp_path, *RECIPE, wrong)


@pytest.mark.parametrize("recipe", ["storm", "solar", "minitron_width", "tinyllama", "birbal"])
def test_every_control_of_a_recipe_changes_what_its_result_is(tmp_path, recipe):
    plan = command_line.plan(tmp_path, "-m", "hydra/sweeper=ablation", f"recipe={recipe}", "seed=0")
    keys = [
        {node.key for node in cell.needed() if node.component.output is Evaluation}
        for cell in plan.cells
    ]
    reference, *arms = keys
    assert len(reference) == 1
    assert len(arms) >= 1
    assert len(set.union(*keys)) == len(keys)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    ["storm_8b", "storm_phi3", "solar_10_7b", "minitron_4b_width", "tinyllama_1_1b", "birbal_7b"],
)
def test_a_recipe_at_full_size_has_the_controls_of_its_miniature(tmp_path, recipe):
    plan = command_line.plan(tmp_path, "-m", "hydra/sweeper=ablation", f"recipe={recipe}", "seed=0")
    counts = {"storm": 6, "solar": 5, "minitron": 4, "tinyllama": 3, "birbal": 2}
    assert len(plan.cells) == counts[recipe.partition("_")[0]]


@pytest.mark.slow
def test_a_factorial_ends_in_main_effects_and_interactions(tmp_path):
    slow = (
        "+ablation.controls.training={says:small steps,overrides:['finetuner.learning_rate=1e-5']}"
    )
    words = (*RECIPE, slow, "ablation.design=full", "seed=0,1")
    found = command_line.run(tmp_path, "ablate", *words)
    assert found.code == 0, found.err
    effects = [line for line in found.out.splitlines() if line.startswith("effect")]
    names = [line.split(":")[0].split(maxsplit=1)[1] for line in effects]
    assert names == ["merging", "training", "merging × training"]


@pytest.mark.slow
def test_an_ablation_shares_stages_and_ends_in_a_ledger(tmp_path):
    found = command_line.run(tmp_path, "ablate", *RECIPE, "seed=0,1")
    assert found.code == 0, found.err
    assert "effect   merging: " in found.out
    run = RunRecord.read((tmp_path / "outputs/latest").resolve())
    assert len(run.cells) == 4
    made = [stage.stage for stage in run.stages()]
    assert made.count("merger") == made.count("finetuner") == 2
    assert made.count("evaluator") == 4
    report = (tmp_path / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert "What each step is worth" in report
    assert "the fine-tune alone" in report


@pytest.mark.slow
def test_every_command_of_the_page_plans(tmp_path):
    page = (Path(__file__).parents[3] / "docs/ablations.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("    storm-exp ")]
    lines = [shlex.split(line)[1:] for line in lines]
    assert len(lines) == 6
    controls = ("curation", "difficulty", "spectrum", "merging", "slerp")
    pilot = ablation(
        tmp_path / "outputs/runs/2026-01-01_00-00-00-storm-sweep",
        chances=dict.fromkeys(("", *controls), 0.5),
        controls={name: {"says": name} for name in controls},
    )
    pilot.write()
    planned: dict[tuple[str, ...], int] = {}
    for verb, *words in lines:
        if "--power" in words:
            two_seeds = ["seed=0,1" if word.startswith("seed=") else word for word in words]
            found = command_line.run(tmp_path, verb, *two_seeds)
            assert found.code == 0 and "seen by 80%" in found.out, found.err
            continue
        ablating = ["-m", "hydra/sweeper=ablation"] if verb == "ablate" else []
        assert "seed=0,1,2" in words
        one_seed = ["seed=0" if word == "seed=0,1,2" else word for word in words]
        command = ("plan", *ablating, *one_seed)
        if command not in planned:
            found = command_line.run(tmp_path, *command)
            assert found.code == 0, found.err
            assert found.plan is not None
            planned[command] = len(found.plan.cells)
        factors = 4 if any(word.endswith("=null") for word in words) else 5
        factors += sum(word.startswith("+ablation.controls.") for word in words)
        arms = 2**factors if "ablation.design=full" in words else 1 + factors
        assert planned[command] == arms

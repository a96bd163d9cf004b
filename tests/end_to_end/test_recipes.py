"""The recipes of the family, small enough to run in seconds, and at full size as plans."""

from __future__ import annotations

import json

import pytest

from end_to_end.workplace import Workplace

SMALL = (
    "base_model=tinyworld/smoke",
    "evaluator=tinyworld/smoke",
    "corpus.rows=64",
    "corpus.validation_rows=8",
    "dataset.rows=48",
    "dataset.validation_rows=8",
)
QUICK = ("steps=3", "validation_rows=4", "validation_every=null", "batch_size=2")


def quick(*stages: str) -> list[str]:
    return [f"{stage}.{setting}" for stage in stages for setting in QUICK]


@pytest.fixture
def work(tmp_path) -> Workplace:
    return Workplace(tmp_path)


def metric(work: Workplace, stage: str, name: str) -> float:
    return next(s for s in work.stages() if s["stage"] == stage)["metrics"][name]


@pytest.mark.slow
def test_solar_runs_from_up_scaling_to_the_merge(work):
    pairs = [f"{name}.rows=24" for name in ("pairs", "other_pairs")]
    finetuners = ("pretrainer", "finetuner", "aligner", "other_aligner")
    work.run("recipe=solar", *SMALL, "upscaler.m=0", *pairs, *quick(*finetuners))
    made = work.made()
    assert made["evaluator"] == 7 and made["aligner"] == made["other_aligner"] == 1
    merged = work.folder / "outputs/latest/merger"
    config = json.loads((merged / "config.json").read_text())
    assert config["num_hidden_layers"] == 4
    assert (merged / "model.safetensors").is_file()
    assert metric(work, "aligner", "steps") == 3


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["width", "depth"])
def test_minitron_runs_from_the_correction_to_the_alignment(work, axis):
    finetuners = ("corrector", "distiller", "imitator", "scratch", "finetuner")
    more = ["scanner.samples=16", "scanner.batch_size=8"]
    if axis == "depth":
        more.append("scanner.counts=[1]")
    # A model of four steps never ends its answers: nothing can be learnt from them.
    more += ["graph.generator=null", "graph.answer_tokens=null", "graph.imitator=null"]
    quickly = [word for word in quick(*finetuners) if not word.startswith("imitator")]
    work.run(f"recipe=minitron_{axis}", *SMALL, *quickly, *more)
    assert work.made()["evaluator"] == 6
    sizes = {
        stage: json.loads((work.folder / "outputs/latest" / stage / "config.json").read_text())
        for stage in ("corrector", "pruner", "distiller", "scratch", "finetuner")
    }
    name = {"width": "hidden_size", "depth": "num_hidden_layers"}[axis]
    assert sizes["pruner"][name] < sizes["corrector"][name]
    for stage in ("distiller", "scratch", "finetuner"):
        assert sizes[stage][name] == sizes["pruner"][name]


@pytest.mark.parametrize(
    ("recipe", "stage", "parameters"),
    [
        ("solar_10_7b", "upscaler", "10,731,524,096 parameters"),
        ("minitron_4b_width", "distiller", "4,512,746,496 parameters"),
        ("minitron_4b_depth", "distiller", "4,540,469,248 parameters"),
    ],
)
def test_full_size_recipes_plan_without_a_weight(work, recipe, stage, parameters):
    cluster = ["runtime.accelerator=h100", "runtime.devices=16"]
    said = work.run("plan", f"recipe={recipe}", *cluster)
    line = next(line for line in said.splitlines() if line.startswith(f"{stage} "))
    assert parameters in line
    assert "to fetch: model" in said and "full size" in said


def test_minitron_s_94_billion_tokens_are_counted(work):
    said = work.run(
        "plan",
        "recipe=minitron_4b_width",
        "runtime.accelerator=h100",
        "runtime.devices=16",
    )
    estimate = said[said.index("estimate") :]
    line = next(line for line in estimate.splitlines() if line.startswith("distiller "))
    assert "94 B" in line or "93.99 B" in line


def test_what_cannot_fit_a_named_card_is_refused(work):
    said = work.run("plan", "recipe=solar_10_7b", "runtime.accelerator=h100", code=1)
    assert "too large for h100" in said and "runtime.devices" in said

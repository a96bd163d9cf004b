"""The report's figures and tables of models over tasks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from made_evaluations import comparison, evaluation
from made_up import Maker, cell, show
from storm_exp.report import CellRecord


def models(make: Maker) -> CellRecord:
    """Return a cell in which two models were evaluated and compared."""
    base = make.stage("base_model", "Checkpoint")
    merger = make.stage("merger", "Checkpoint", inputs={"models": [base.key]})
    evaluations = [
        make.stage("evaluator", "Evaluation", {"evaluation.json": evaluation(s)}, element=e.stage)
        for e, s in ((base, 0.5), (merger, 0.75))
    ]
    keys = [e.key for e in evaluations]
    files = {"comparison.json": comparison()}
    compared = make.stage("comparison", "Comparison", files, inputs={"evaluations": keys})
    return cell(base, merger, *evaluations, compared)


def test_models_are_shown_by_name_with_scores_and_paired_differences(make):
    text = show(make.run(models(make))).text
    assert "base_model 0.500 ± 0.010" in text
    assert "merger 0.750 ± 0.010" in text
    assert "merger +0.250 +0.125 to +0.375 < 0.001 better" in text
    assert "With one run each, this holds for these trained models" in text


def family(make: Maker) -> CellRecord:
    """Return a cell with a merge of a tuned model and its partner, on judged data."""
    base = make.stage("base_model", "Checkpoint")
    scores = make.stage("judge", "Scores", inputs={"model": base.key})
    cut = make.stage("depth", "Checkpoint", inputs={"model": base.key})
    tuned = make.stage("finetuner", "Checkpoint", inputs={"model": cut.key, "data": scores.key})
    partner = make.stage("partner", "Checkpoint", inputs={"model": base.key, "data": scores.key})
    merger = make.stage("merger", "Checkpoint", inputs={"models": [tuned.key, partner.key]})
    shown = [base, partner, tuned, merger]
    evaluations = [
        make.stage(
            "evaluator",
            "Evaluation",
            {"evaluation.json": evaluation(0.1 * place)},
            element=stage.stage,
            inputs={"model": stage.key},
        )
        for place, stage in enumerate(shown)
    ]
    verdicts = {
        (0, 1): (0.1, "no effect"),
        (0, 2): (0.2, "undecided"),
        (1, 3): (0.3, "better"),
        (2, 3): (-0.04, "worse"),
    }
    pairs = []
    for first, second in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        difference, verdict = verdicts.get((first, second), (0.9, "better"))
        found = comparison()["pairs"][0]["mean"] | {"difference": difference, "verdict": verdict}
        pairs.append({"first": first, "second": second, "tasks": {}, "mean": found, "loss": None})
    content = comparison() | {"models": 4, "pairs": pairs, "against_first": pairs[:3]}
    content["mean"] = [{"score": 0.1 * place, "stderr": 0.01} for place in range(4)]
    compared = make.stage(
        "comparison",
        "Comparison",
        {"comparison.json": content},
        inputs={"evaluations": [e.key for e in evaluations]},
    )
    return cell(base, scores, cut, tuned, partner, merger, *evaluations, compared)


def test_every_step_is_told_against_the_models_that_it_was_made_of(make):
    text = show(make.run(family(make))).text
    assert (
        "Helped: merger over partner (+0.300); harmed: merger over finetuner (-0.040); "
        "undecided: finetuner over base_model (+0.200); "
        "no effect shown: partner over base_model (+0.100)."
    ) in text
    assert "mean over tasks; for these trained models, one run each, over questions" in text
    assert "merger partner +0.300 +0.125 to +0.375 < 0.001 better" in text
    assert "merger finetuner -0.040" in text
    assert "merger base_model" not in text.replace("Differences to base_model", "")


def test_a_rehearsal_s_report_says_that_scores_mean_nothing_and_ranks_none(make):
    record = make.run(models(make), rehearsal=["replaced in whole or in part: base_model"])
    page = show(record)
    assert "A rehearsal that passed: its scores have no meaning" in page.text
    assert "replaced in whole or in part: base_model" in page.text
    assert "base_model 0.500 ± 0.010" in page.text
    assert "they come from a rehearsal and have no meaning" in page.text
    for claim in ("Differences to", "Helped", "+0.250", "is bold"):
        assert claim not in page.text


def test_a_step_against_the_order_of_the_models_is_turned(make):
    record = family(make)
    evaluations = [s for s in record.stages if s.artifact == "Evaluation"]
    compared = next(s for s in record.stages if s.artifact == "Comparison")
    compared.inputs["evaluations"] = [e.key for e in reversed(evaluations)]
    text = show(make.run(record)).text
    # First and second are now merger and finetuner.
    assert "no effect shown: merger over finetuner (-0.100)" in text


def test_arms_of_several_runs_are_shown_once_each_and_spoken_of_as_arms(make):
    names = [("plain", 0.4), ("plain_again", 0.6), ("tuned", 0.7), ("tuned_again", 0.8)]
    stages = [make.stage(name, "Checkpoint") for name, _ in names]
    evaluations = [
        make.stage("evaluator", "Evaluation", {"evaluation.json": evaluation(s)}, element=name)
        for name, s in names
    ]
    content = comparison() | {"runs": 2}
    content["tasks"]["lookup"]["scores"] = content["mean"]
    compared = make.stage(
        "comparison",
        "Comparison",
        {"comparison.json": content},
        inputs={"evaluations": [e.key for e in evaluations]},
    )
    text = show(make.run(cell(*stages, *evaluations, compared))).text
    assert "plain 0.500 ± 0.010" in text and "tuned 0.750 ± 0.010" in text
    assert "Differences to plain in the mean over tasks. Over 2 runs of each" in text
    assert "plain_again 0" not in text and "With one run each" not in text


def test_bars_of_models_have_the_heights_of_their_scores(make):
    page = show(make.run(models(make)))
    found = [a for tag, a in page.tags if tag == "rect" and a.get("class") in ("bar s0", "bar s1")]
    base, merger = (float(a["height"] or 0) for a in found if a["height"] != "11")
    assert merger / base == pytest.approx(1.5, rel=0.01)


def test_a_model_has_the_same_colour_in_every_figure(make):
    losses = {"steps": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], "validation": []}
    record = models(make)
    trained = make.stage("merger", "Checkpoint", {"training.json": losses}, inputs={"model": "x"})
    record.stages[1] = trained
    page = show(make.run(record))
    assert ("path", "line s1") in {(tag, a.get("class")) for tag, a in page.tags}
    assert ("span", "swatch s1") in {(tag, a.get("class")) for tag, a in page.tags}


def test_a_report_needs_no_heavy_package(make):
    make.run(models(make)).write()
    program = (
        "import sys; from pathlib import Path; from storm_exp.report import RunRecord; "
        "from storm_exp._contract.plugins import load_plugins; "
        "from storm_exp._run.report import write_report; "
        f"write_report(RunRecord.read(Path({str(make.folder / 'run')!r})), load_plugins()); "
        "print(sorted({'torch', 'numpy', 'pyarrow', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

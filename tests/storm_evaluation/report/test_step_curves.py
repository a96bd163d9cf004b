"""The report's curves of trainings over steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_up import Maker, Page, cell, show
from storm_evaluation.report.lineup import find_lineups
from storm_evaluation.report.score_curve import around, score_curve
from storm_exp.report import CellRecord


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def evaluation(score: float) -> dict:
    entry = {"metric": "acc", "score": score, "stderr": 0.01, "n": 50, "higher_is_better": True}
    loss = {**entry, "metric": "loss", "score": 2 - score, "higher_is_better": False}
    return {
        "tasks": {"lookup": entry, "tools": {**entry, "score": score / 2}, "text": loss},
        "mean": score * 0.75,
    }


def trained(make: Maker, *overrides: str, better: float = 0.0, rate: float = 1e-3) -> CellRecord:
    """Return a model, its training of 300 steps with those after 100 and 200, all evaluated."""
    base = make.stage("base_model", "Checkpoint")
    stages, models = [base], [(base, 0)]
    for step in (200, 100, None):
        name = "finetuner" if step is None else f"finetuner_step_{step}"
        model = make.stage(
            name,
            "Checkpoint",
            metrics={"steps": float(step or 300), "tokens": 1000.0 * (step or 300)},
            inputs={"model": base.key},
            settings={"learning_rate": rate, "stop_after": step, "keep_every": 100},
            spec={"better": better},
        )
        models.append((model, step or 300))
    stages += [model for model, _ in models[1:]]
    for model, step in models:
        evaluator = "evaluator_interim" if step in (100, 200) else "evaluator"
        files = {"evaluation.json": evaluation(step / 1000 + better)}
        inputs = {"model": model.key}
        stages.append(
            make.stage(evaluator, "Evaluation", files, element=model.stage, inputs=inputs)
        )
    return cell(*stages, overrides=overrides)


def of_shares(rights: dict[str, int], documents: int = 50) -> dict:
    """Return an evaluation whose tasks were answered rightly so many times."""
    tasks = {}
    for task, right in rights.items():
        score = right / documents
        stderr = (score * (1 - score) / (documents - 1)) ** 0.5
        tasks[task] = {"metric": "acc", "score": score, "stderr": stderr, "n": documents}
    return {"tasks": tasks, "mean": sum(rights.values()) / documents / len(rights)}


def page(make: Maker, *cells: CellRecord) -> Page:
    return show(make.run(*cells))


def test_a_curve_goes_from_the_model_before_to_the_trained_one(make):
    text = page(make, trained(make)).text
    assert "Scores over training steps" in text
    for row in (
        "0 0 0.000 0.000 [-0.020, 0.020] 0.000",
        "100 100,000 0.075 [0.061, 0.089] 0.100 [0.080, 0.120]",
        "200 200,000 0.150 [0.136, 0.164] 0.200 [0.180, 0.220]",
        "300 300,000 0.225 [0.211, 0.239] 0.300 [0.280, 0.320]",
    ):
        assert row.split(" 0.000 ")[0] in text
    assert "lower is better" in text and "intervals over questions" in text


def test_interim_models_are_not_among_those_that_are_compared(make):
    (lineup,) = find_lineups(make.run(trained(make)))
    assert [lineup.name(position) for position in range(lineup.models)] == [
        "base_model",
        "finetuner",
    ]


def test_without_interim_models_there_is_no_curve(make):
    whole = trained(make)
    whole.stages = [stage for stage in whole.stages if "step" not in stage.label]
    assert "over training steps" not in page(make, whole).text


def test_a_sweep_has_a_curve_for_every_cell_as_a_mean_over_seeds(make):
    cells = [
        trained(
            make,
            f"finetuner.learning_rate={rate}",
            f"seed={seed}",
            better=seed / 100 + rate,
            rate=rate,
        )
        for rate in (0.1, 0.2)
        for seed in (0, 1, 2)
    ]
    text = page(make, *cells).text
    assert "learning_rate=0.1" in text and "learning_rate=0.2" in text
    assert "means over 3 seeds; whiskers: 95 % intervals of the mean" in text


def test_cells_that_share_a_training_share_its_curve(make):
    same = [trained(make, f"merger.t={t}") for t in (0.2, 0.5)]
    assert "Scores over training steps" in page(make, *same).text
    assert "cell steps tokens" not in page(make, *same).text


@pytest.mark.parametrize("rights", [{"a": 0, "b": 1}, {"a": 50, "b": 49}, {"a": 1}])
def test_no_interval_of_shares_leaves_0_to_1_over_questions_or_seeds(rights):
    low = [(0.0, of_shares(dict.fromkeys(rights, 0))), (100.0, of_shares(rights))]
    high = [(0.0, of_shares(dict.fromkeys(rights, 50))), (100.0, of_shares(rights))]
    for runs in ([low], [high], [low, high]):
        points, ends = score_curve(runs, list(rights))
        for (_, score), (below, above) in zip(points, ends, strict=True):
            assert 0 <= below <= score <= above <= 1
        for below, above in around(points, ends):
            assert below >= 0 and above >= 0

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storm_evaluation.comparison.comparison import Comparison, ComparisonSpec
from storm_evaluation.comparison.paired import Paired
from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.sample import Sample
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage


def evaluation(
    folder: Path, scores: dict[str, list[float]], *, order: int = 1, shift: int = 0
) -> Evaluation:
    folder.mkdir()
    rows = [
        Sample(task=task, document=f"d{number + shift}", score=score)
        for task, values in scores.items()
        for number, score in list(enumerate(values))[::order]
    ]
    made = Evaluation(folder)
    metrics = {task: ("loss" if task == "loss" else "acc", task != "loss") for task in scores}
    made.write(metrics, rows, {}, "")
    return made


def compare(folder: Path, evaluations: list[Evaluation], **settings: object) -> dict:
    stage = make_stage(folder, "comparison")
    comparison = Paired(**{"resamples": 500, **settings}).run(stage, evaluations)
    return {**comparison.summary(), "metrics": stage.metrics, "main": stage.main_metric}


def test_documents_are_aligned_by_name_not_by_order(tmp_path: Path) -> None:
    values = [1.0] * 30 + [0.0] * 30
    table = compare(
        tmp_path,
        [
            evaluation(tmp_path / "a", {"t": values}),
            evaluation(tmp_path / "b", {"t": values}, order=-1),
        ],
    )
    cell = table["pairs"][0]["tasks"]["t"]
    assert (cell["difference"], cell["low"], cell["high"], cell["p"]) == (0, 0, 0, 1)
    assert cell["better"] is None


def test_a_model_that_wins_is_said_to_be_better_by_position(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weak = (rng.random(150) < 0.4).astype(float)
    strong = np.maximum(weak, (rng.random(150) < 0.4).astype(float))
    loss = rng.normal(2.0, 0.3, size=80)
    table = compare(
        tmp_path,
        [
            evaluation(tmp_path / "a", {"t": list(weak), "loss": list(loss)}),
            evaluation(tmp_path / "b", {"t": list(strong), "loss": list(loss - 0.2)}),
            evaluation(tmp_path / "c", {"t": list(weak), "loss": list(loss)}),
        ],
    )
    assert table["best"] == 1
    assert table["main"] == "best_mean_score"
    assert table["metrics"]["best_position"] == 1
    assert table["metrics"]["gain/1"] == pytest.approx(strong.mean() - weak.mean())
    against = {entry["second"]: entry for entry in table["against_first"]}
    cell = against[1]["tasks"]["t"]
    assert (cell["test"], cell["better"]) == ("mcnemar", 1)
    assert cell["low"] < strong.mean() - weak.mean() < cell["high"]
    lower_loss = against[1]["tasks"]["loss"]
    assert (lower_loss["test"], lower_loss["better"]) == ("sign_flip", 1)
    assert lower_loss["difference"] == pytest.approx(-0.2)
    assert against[2]["tasks"]["t"]["better"] is None
    assert [(e["first"], e["second"]) for e in table["pairs"]] == [(0, 1), (0, 2), (1, 2)]
    assert all(e["tasks"]["t"]["p_holm"] >= e["tasks"]["t"]["p"] for e in table["pairs"])


def test_the_mean_is_over_tasks_in_which_more_is_better(tmp_path: Path) -> None:
    table = compare(
        tmp_path,
        [
            evaluation(tmp_path / "a", {"t": [0.0, 0.0], "u": [0.0] * 8, "loss": [9.0, 9.0]}),
            evaluation(tmp_path / "b", {"t": [1.0, 1.0], "u": [0.0] * 8, "loss": [1.0, 1.0]}),
        ],
    )
    assert [cell["score"] for cell in table["mean"]] == [0.0, 0.5]
    mean = table["against_first"][0]["mean"]
    assert mean["difference"] == pytest.approx(0.5)
    assert mean["clustered_stderr"] == pytest.approx(0.5)


def test_a_comparison_of_losses_alone_has_no_mean(tmp_path: Path) -> None:
    table = compare(tmp_path, [evaluation(tmp_path / "a", {"loss": [1.0, 2.0]})])
    assert (table["mean"], table["best"], table["pairs"], table["metrics"]) == (None, None, [], {})


def test_the_same_evaluations_give_the_same_bytes(tmp_path: Path) -> None:
    inputs = [
        evaluation(tmp_path / "a", {"t": [0.0, 1.0, 0.5]}),
        evaluation(tmp_path / "b", {"t": [1.0, 0.2, 0.5]}),
    ]
    texts = set()
    for folder in (tmp_path / "x", tmp_path / "y"):
        compare(folder, inputs)
        texts.add((folder / "comparison" / "comparison.json").read_bytes())
    assert len(texts) == 1


def test_different_documents_or_tasks_are_refused(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"t": [1.0, 0.0]})
    with pytest.raises(InputError, match=r"0 and 1 are over different documents .2 and 2, 1 of"):
        compare(tmp_path, [first, evaluation(tmp_path / "b", {"t": [1.0, 0.0]}, shift=1)])
    with pytest.raises(InputError, match="different tasks: t and u"):
        compare(tmp_path, [first, evaluation(tmp_path / "c", {"u": [1.0]})])


def test_different_tasks_are_refused_before_anything_runs() -> None:
    known, other = EvaluationSpec(tasks=["t"]), EvaluationSpec(tasks=["t", "u"])
    with pytest.raises(InputError, match="0 and 2"):
        Paired().plan_spec([known, EvaluationSpec(), other])
    assert Paired().plan_spec([known, EvaluationSpec()]) == ComparisonSpec(models=2, tasks=["t"])


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match="confidence"):
        Paired(confidence=1.0)
    with pytest.raises(SettingError, match="resamples"):
        Paired(resamples=10)


def test_a_measure_takes_the_scores_place_and_shows_a_smaller_effect(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    made = []
    for name, gain in (("a", 0.0), ("b", 0.05)):
        (tmp_path / name).mkdir()
        likely = 0.5 + 0.3 * np.sin(np.arange(80)) + gain
        rows = [
            Sample(
                task="t",
                document=f"d{n}",
                score=float(draw.random() < p),
                metrics={"probability": float(p)},
            )
            for n, p in enumerate(likely)
        ]
        rows.append(Sample(task="written", document="d", score=1.0))
        made.append(Evaluation(tmp_path / name))
        made[-1].write({"t": ("acc", True), "written": ("acc", True)}, rows, {}, "")
    assert made[0].summary()["tasks"]["t"]["metrics"]["probability"] == pytest.approx(
        np.mean(0.5 + 0.3 * np.sin(np.arange(80)))
    )
    by_score = compare(tmp_path, made)
    table = compare(tmp_path, made, measure="probability")
    assert set(by_score["tasks"]) == {"t", "written"} and set(table["tasks"]) == {"t"}
    assert table["tasks"]["t"]["metric"] == "probability"
    cell = table["against_first"][0]["mean"]
    assert cell["difference"] == pytest.approx(0.05) and cell["verdict"] == "better"
    assert by_score["against_first"][0]["tasks"]["t"]["verdict"] == "undecided"
    assert table["main"] == "best_mean_probability"
    with pytest.raises(InputError, match="no task has the measure 'log_likelihood'"):
        compare(tmp_path, made, measure="log_likelihood")


def test_facts_of_a_comparison(tmp_path: Path) -> None:
    compare(tmp_path, [evaluation(tmp_path / "a", {"t": [1.0, 2.0]})])
    assert Comparison(tmp_path / "comparison").spec().summary() == "1 model, 1 task"

"""Comparisons of arms that were trained several times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_up import Maker
from storm_evaluation.comparison.paired import Paired
from storm_evaluation.comparison.pairwise_differences import verdict
from storm_evaluation.evaluation import Evaluation, EvaluationSpec
from storm_evaluation.report.over_runs import comparisons, in_words, sections
from storm_evaluation.reported_metrics import report_metrics
from storm_evaluation.sample import Sample
from storm_exp import SettingError
from storm_exp.report import CellRecord, RunRecord, StageRecord
from storm_exp.testing import make_stage

QUESTIONS = 60


def evaluate(folder: Path, right: np.ndarray, losses: np.ndarray) -> Evaluation:
    folder.mkdir(parents=True)
    rows = [Sample(task="t", document=f"d{n}", score=float(s)) for n, s in enumerate(right)]
    rows += [
        Sample(task="nll", document=f"d{n}", score=float(s), weight=1.0 + n % 3)
        for n, s in enumerate(losses)
    ]
    made = Evaluation(folder)
    made.write({"t": ("acc", True), "nll": ("nats", False)}, rows, {}, "")
    return made


def arms(folder: Path, effects: list[float], runs: int = 3, run_sd: float = 0.0, seed: int = 0):
    """Evaluations of arms that answer better by `effects`, arm by arm."""
    draw = np.random.default_rng(seed)
    easy = draw.normal(size=QUESTIONS)
    found = []
    for arm, effect in enumerate(effects):
        for run in range(runs):
            shift = effect + draw.normal(0, run_sd)
            losses = 2 + 0.3 * easy - shift + draw.normal(0, 0.05, QUESTIONS)
            right = draw.random(QUESTIONS) < 1 / (1 + np.exp(easy - 3 * shift))
            found.append(evaluate(folder / f"{arm}-{run}", right, losses))
    return found


def compare(folder: Path, evaluations: list[Evaluation], **settings) -> dict:
    stage = make_stage(folder, "comparison")
    return Paired(**settings).run(stage, evaluations).summary()


def test_arms_are_compared_over_their_runs(tmp_path):
    found = compare(tmp_path, arms(tmp_path, [0.0, 0.5, 0.0], run_sd=0.05), runs=3)
    assert (found["models"], found["runs"]) == (3, 3)
    better, same = found["against_first"]
    assert better["loss"]["verdict"] == "better" and better["loss"]["difference"] < -0.4
    assert better["loss"]["test"] == "runs_and_questions"
    assert same["loss"]["better"] is None
    assert len(found["mean"][0]["by_run"]) == 3
    assert found["loss"][1]["score"] == pytest.approx(np.mean(found["loss"][1]["by_run"]))
    low, high = better["loss"]["together"]
    assert low < better["loss"]["low"] < better["loss"]["high"] < high


def test_what_varies_from_run_to_run_is_no_effect_of_the_arm(tmp_path):
    """All trained models differ significantly, but the arms do not."""
    evaluations = arms(tmp_path / "e", [0.0, 0.0], runs=3, run_sd=0.3, seed=4)
    alone = compare(tmp_path / "one", [evaluations[0], evaluations[3]])
    together = compare(tmp_path / "all", evaluations, runs=3)
    assert alone["against_first"][0]["loss"]["p"] < 0.01
    assert together["against_first"][0]["loss"]["p"] > 0.05
    assert together["against_first"][0]["loss"]["verdict"] == "undecided"


@pytest.mark.parametrize("questions", [1, 3])
@pytest.mark.parametrize("runs", [1, 3])
@pytest.mark.parametrize("better", [0.01, 1.0])
def test_few_questions_decide_nothing(tmp_path, questions, runs, better):
    """They show neither a difference nor its absence, even if all answers are equal."""
    found = []
    for arm in range(2):
        for run in range(runs):
            rows = np.full(questions, arm * better)
            found.append(evaluate(tmp_path / f"{arm}{run}", rows, rows))
    (entry,) = compare(tmp_path / "c", found, runs=runs)["against_first"]
    for cell in (entry["mean"], entry["loss"]):
        assert cell["verdict"] == "undecided" and cell["p"] >= 0.2
        assert cell["low"] < 0 < cell["difference"] < cell["high"]


def test_a_loss_of_one_heavy_question_is_one_question(tmp_path):
    found = []
    for arm in range(2):
        folder = tmp_path / str(arm)
        folder.mkdir()
        rows = [
            Sample(task="nll", document=str(n), score=2.0 + 0.01 * arm, weight=1e9 if n == 0 else 1)
            for n in range(400)
        ]
        made = Evaluation(folder)
        made.write({"nll": ("nats", False)}, rows, {}, "")
        found.append(made)
    (entry,) = compare(tmp_path / "c", found)["against_first"]
    assert entry["loss"]["equivalence"][1] > 1


def test_runs_must_divide_the_evaluations():
    with pytest.raises(SettingError, match="runs"):
        Paired(runs=2).plan_spec([EvaluationSpec()] * 3)
    with pytest.raises(SettingError, match="runs"):
        Paired(runs=3).plan_spec([EvaluationSpec()] * 3)
    assert Paired(runs=3).plan_spec([EvaluationSpec()] * 6).models == 2


@pytest.mark.parametrize(
    ("better", "equivalence", "said"),
    [
        (1, (0.01, 0.05), "better"),
        (0, (-0.05, -0.01), "worse"),
        (None, (-0.01, 0.019), "no effect shown, less than 0.02 either way"),
        (None, (-0.01, 0.021), "undecided"),
        (None, (-0.021, 0.0), "undecided"),
    ],
)
def test_no_effect_is_claimed_within_the_margin_only(better, equivalence, said):
    cell = {"better": better, "equivalence": equivalence}
    assert in_words(verdict(cell, 1, 0.02), 0.02) == said


@pytest.mark.parametrize(("questions", "said"), [(60, "undecided"), (400, "no effect")])
def test_few_questions_that_all_answer_alike_do_not_show_that_there_is_no_effect(
    tmp_path, questions, said
):
    right = np.zeros(questions)
    evaluations = [evaluate(tmp_path / f"e{n}", right, right) for n in range(4)]
    for runs in (1, 2):
        found = compare(tmp_path / str(runs), evaluations[: 2 * runs], runs=runs)
        cell = found["against_first"][0]["mean"]
        assert (cell["difference"], cell["p"], cell["verdict"]) == (0, 1, said)


def test_an_evaluation_says_which_questions_its_figures_are_of(tmp_path):
    found = []
    for number, documents in enumerate((["a", "b"], ["b", "a"], ["a", "c"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = [
            Sample(task=task, document=d, score=0.5) for task in ("t", "nll") for d in documents
        ]
        made = Evaluation(folder)
        made.write({"t": ("acc", True), "nll": ("nats", False)}, rows, {}, "")
        stage = make_stage(folder, "metrics")
        report_metrics(stage, made)
        assert (stage.main_metric, stage.shown_metrics) == ("mean_score", ["loss"])
        assert stage.metrics["mean_score_stderr"] == stage.metrics["loss_stderr"] == 0.0
        found.append(stage.measured_on)
    assert found[0] == found[1] and set(found[0]) == {"mean_score", "loss"}
    assert found[0] != found[2]


def sweep(folder: Path, values: tuple[str, ...], seeds: int = 3) -> RunRecord:
    """A sweep of a setting over seeds, whose evaluations are in `folder`."""
    evaluations = iter(arms(folder / "arms", [0.3 * n for n in range(len(values))], runs=seeds))
    cells = []
    for value in values:
        for seed in range(seeds):
            stage = StageRecord(
                stage="evaluator",
                element="finetuner",
                component="lm_eval",
                artifact="Evaluation",
                key=f"{value}{seed}",
                inputs={},
                status="made",
                settings={},
                spec={},
                directory=str(next(evaluations).directory),
            )
            overrides = [f"curator={value}", f"seed={seed}"]
            cells.append(CellRecord(name="", overrides=overrides, config={}, stages=[stage]))
    return Maker(folder).run(*cells)


def test_a_report_on_a_sweep_over_seeds_speaks_of_its_arms(tmp_path):
    run = sweep(tmp_path, ("all", "best"))
    assert list(comparisons(run)) == ["evaluator[finetuner]"]
    assert list(comparisons(run)["evaluator[finetuner]"]) == ["curator=all", "curator=best"]
    (section,) = sections(run)
    assert "3 runs of each arm" in section.html
    assert "not only for these trained models" in section.html
    assert 'class="worse"' not in section.html and 'class="better"' in section.html


def test_a_sweep_with_one_seed_says_nothing_of_arms(tmp_path):
    assert sections(sweep(tmp_path, ("all", "best"), seeds=1)) == []


def test_arms_that_answered_other_questions_are_not_compared(tmp_path):
    run = sweep(tmp_path, ("all", "best"))
    other = tmp_path / "other"
    other.mkdir()
    rows = [Sample(task=task, document="x", score=1.0) for task in ("t", "nll")]
    Evaluation(other).write({"t": ("acc", True), "nll": ("nats", False)}, rows, {}, "")
    run.cells[0].stages[0].directory = str(other)
    (section,) = sections(run)
    assert "not compared" in section.html and "different documents" in section.html


def test_arms_without_the_same_seeds_are_told_and_not_compared(tmp_path):
    run = sweep(tmp_path, ("all", "best"))
    lost = run.cells.pop(1)  # seed 1 of the first arm
    assert "seed=1" in lost.overrides
    run.cells.pop(-1)  # seed 2 of the second: as many runs, and other blocks
    assert comparisons(run) == {}
    (section,) = sections(run)
    assert "curator=all: 0, 2" in section.html and "curator=best: 0, 1" in section.html


def test_the_same_seed_again_is_no_other_run(tmp_path):
    run = sweep(tmp_path, ("all", "best"))
    for cell in run.cells:
        cell.overrides = [cell.overrides[0], "seed=0"]
    assert sections(run) == []


def test_models_of_two_evaluators_are_compared_by_each(tmp_path):
    run = sweep(tmp_path, ("all",))
    draw = np.random.default_rng(0)
    for number, cell in enumerate(run.cells):
        (first,) = cell.stages
        for evaluator, task in (("evaluator", ""), ("calls", "calls")):
            for model in ("finetuner", "merger"):
                if (evaluator, model) == ("evaluator", "finetuner"):
                    continue
                folder = tmp_path / f"{evaluator}-{model}-{number}"
                evaluate(folder, draw.random(QUESTIONS) < 0.5, draw.random(QUESTIONS))
                if task:
                    rows = [
                        Sample(task=task, document=f"d{n}", score=float(draw.random() < 0.5))
                        for n in range(QUESTIONS)
                    ]
                    Evaluation(folder).write({task: ("acc", True)}, rows, {}, "")
                more = {"stage": evaluator, "element": model, "directory": str(folder)}
                cell.stages.append(StageRecord(**{**vars(first), **more, "key": folder.name}))
    assert list(comparisons(run)) == ["models by evaluator", "models by calls"]
    (section,) = sections(run)
    assert "not compared" not in section.html and section.html.count("<tbody>") == 2

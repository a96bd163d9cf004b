from pathlib import Path

import pytest

from made_up import Maker, cell, show
from storm_evaluation.report.learning_curve import longest_line


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def evaluation(score):
    entry = {"metric": "acc", "score": score, "stderr": 0.01, "n": 50, "higher_is_better": True}
    return {
        "tasks": {"lookup": entry, "tools": {**entry, "score": score / 2}},
        "mean": score * 0.75,
    }


def recipe(make, tokens, *overrides, better=0.0):
    """Return a line of evaluated models, each trained on a number of tokens (None: not trained)."""
    stages, before = [], {}
    for number, count in enumerate(tokens):
        metrics = {} if count is None else {"tokens": float(count)}
        model = make.stage(f"model_{number}", "Checkpoint", metrics=metrics, inputs=before)
        before = {"model": model.key}
        scored = {"evaluation.json": evaluation(number / 10 + better)}
        evaluated = make.stage(
            "evaluator", "Evaluation", scored, element=model.stage, inputs={"model": model.key}
        )
        stages += [model, evaluated]
    return cell(*stages, overrides=overrides)


def contents(made):
    return {stage.key: stage.read("evaluation.json") for stage in made.of_type("Evaluation")}


def test_tokens_add_up_along_the_line(make):
    made = recipe(make, [100, 50, 50])
    line = longest_line(made, contents(made))
    assert [(stage.stage, tokens) for stage, tokens, _ in line] == [
        ("model_0", 100),
        ("model_1", 150),
        ("model_2", 200),
    ]


def test_what_changes_a_model_without_training_stands_at_the_same_tokens(make):
    made = recipe(make, [100, None, 50])
    assert [tokens for _, tokens, _ in longest_line(made, contents(made))] == [100, 100, 150]


def test_models_that_nothing_trained_make_no_curve(make):
    made = recipe(make, [None, None, None])
    assert longest_line(made, contents(made)) == []


def test_the_report_draws_three_models_in_a_line_and_not_two(make):
    page = show(make.run(recipe(make, [1_000, 500, 250])))
    assert "Learning curve" in page.text
    assert "model_0 at 1,000, model_1 at 1,500, model_2 at 1,750" in page.text
    assert "Learning curve" not in show(make.run(recipe(make, [1_000, 500]))).text


def test_seeds_are_one_curve_with_its_interval_at_their_mean_of_tokens(make):
    page = show(
        make.run(
            *(
                recipe(make, [1_000 + 100 * seed, 500, 250], f"seed={seed}", better=seed / 10)
                for seed in (0, 1, 2)
            )
        )
    )
    assert "model_0 at 1,100, model_1 at 1,600, model_2 at 1,850" in page.text
    assert "Means over 3 seeds; whiskers: 95 % intervals of the mean" in page.text


def test_a_second_evaluator_of_some_models_has_no_part_in_the_curve_of_the_first(make):
    made = recipe(make, [100, 50, 50])
    other = {"metric": "acc", "score": 0.9, "stderr": 0.01, "n": 50, "higher_is_better": True}
    for model in [stage for stage in made.stages if stage.artifact == "Checkpoint"][1:]:
        scored = {"evaluation.json": {"tasks": {"calls": other}, "mean": 0.9}}
        inputs = {"model": model.key}
        made.stages.append(
            make.stage("calls", "Evaluation", scored, element=model.stage, inputs=inputs)
        )
    line = longest_line(made, contents(made))
    assert [list(each["tasks"]) for _, _, each in line] == [["lookup", "tools"]] * 3
    text = show(make.run(made)).text
    assert "could not make" not in text and "Learning curve" in text

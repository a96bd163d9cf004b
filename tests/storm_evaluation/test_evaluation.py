from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_evaluation.evaluation import Evaluation, mean_and_stderr
from storm_evaluation.sample import Sample
from storm_exp import InputError


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=60))
def test_the_error_of_right_and_wrong_is_the_binomial_one(scores: list[float]) -> None:
    mean, stderr = mean_and_stderr(scores, [1.0] * len(scores))
    assert mean == pytest.approx(np.mean(scores))
    assert stderr == pytest.approx(math.sqrt(mean * (1 - mean) / (len(scores) - 1)), abs=1e-12)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=40))
def test_the_error_of_equal_weights_is_that_of_a_mean(scores: list[float]) -> None:
    _, stderr = mean_and_stderr(scores, [3.0] * len(scores))
    assert stderr == pytest.approx(np.std(scores, ddof=1) / math.sqrt(len(scores)), abs=1e-9)


def test_tokens_weigh_the_loss() -> None:
    mean, stderr = mean_and_stderr([1.0, 4.0], [3.0, 1.0])
    assert mean == pytest.approx(7 / 4)
    assert stderr == pytest.approx(math.sqrt(2 * ((3 * -0.75) ** 2 + 2.25**2)) / 4)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows = [
        Sample(task="t", document="a", score=1.0, prediction="ü", target="ü"),
        Sample(task="t", document="b", score=0.0, prediction="no", target="yes"),
        Sample(task="loss", document="a", score=2.5, weight=7.0),
    ]
    evaluation = Evaluation(tmp_path)
    metrics = {"t": ("acc", True), "loss": ("nats per token", False)}
    evaluation.write(metrics, rows, {"batch_size": 2}, "lm_eval 0")
    assert list(evaluation.samples()) == rows
    summary = evaluation.summary()
    assert summary["mean"] == 0.5, "the loss is no part of the mean"
    assert summary["tasks"]["loss"]["stderr"] is None
    assert [example["score"] for example in summary["examples"]["t"]] == [1.0, 0.0]
    assert evaluation.spec().documents == 3


def test_a_task_without_documents_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no documents"):
        Evaluation(tmp_path).write({"t": ("acc", True)}, [], {}, "")


@pytest.mark.parametrize(
    ("score", "weight", "problem"),
    [
        (math.nan, 1.0, "scores of 1 of 2 documents are no numbers, as those of a model whose"),
        (math.inf, 1.0, "scores of 1 of 2 documents are no numbers"),
        (1.0, 0.0, "nothing of its documents was scored"),
    ],
)
def test_scores_that_say_nothing_are_an_error_and_no_evaluation(tmp_path, score, weight, problem):
    rows = [
        Sample(task="loss", document=name, score=each, weight=weight)
        for name, each in (("a", score), ("b", 2.0))
    ]
    with pytest.raises(InputError, match=problem):
        Evaluation(tmp_path).write({"loss": ("nats", False)}, rows, {}, "")
    assert not list(tmp_path.iterdir())

"""Inference over runs and questions, against hand-made sums, analysis of variance and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from storm_evaluation.comparison.inference import dunnett_quantile, pair, pseudo_scores, spread
from storm_evaluation.evaluation import mean_and_stderr

SIZES = st.tuples(st.integers(2, 4), st.integers(2, 5), st.integers(2, 9), st.integers(0, 99))


def scores(arms, runs, questions, seed):
    return np.random.default_rng(seed).normal(size=(arms, runs, questions))


def test_a_small_case_by_hand():
    # Differences of two arms: runs in rows, questions in columns.
    #        0  2  4   mean 2
    #        2  2  8   mean 4      question means 1 2 6, of all 3
    first = np.zeros((2, 3))
    second = np.array([[0.0, 2, 4], [2, 2, 8]])
    found = spread([np.stack([first, second])], [pair(0, 1)])
    assert found.difference == pytest.approx([3.0])
    assert found.own == pytest.approx([2 / 2])  # the variance of 2 and 4 is 2, over 2 runs
    # Question means: variance 7, over 3. What is left: 1 0 -1 / ... ; squares sum to 4 - 0 = 4,
    # [0-1-2+3, 2-2-2+3, 4-6-2+3] = [0, 1, -1], and the same with the other sign: 4; over 1·2 = 2.
    assert found.questions == pytest.approx([7 / 3 - 2 / 6])
    half = np.sqrt(stats.t.isf(0.025, 1) ** 2 * 1 + stats.norm.isf(0.025) ** 2 * 2)
    assert found.half_width(0.05) == pytest.approx([half])


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_variances_are_those_of_a_two_way_analysis_of_variance(sizes):
    arms, runs, questions, seed = sizes
    task = scores(arms, runs, questions, seed)
    found = spread([task], [pair(0, 1)])
    each = task[1] - task[0]
    run, question = (index.ravel() for index in np.indices(each.shape))
    dummies = [
        np.eye(runs)[run][:, 1:],
        np.eye(questions)[question][:, 1:],
        np.ones((each.size, 1)),
    ]

    def left(*parts):
        design = np.hstack(parts)
        fitted = design @ np.linalg.lstsq(design, each.ravel(), rcond=None)[0]
        return float(((each.ravel() - fitted) ** 2).sum())

    both = left(*dummies)
    of_runs = (left(dummies[1], dummies[2]) - both) / (runs - 1)
    of_questions = (left(dummies[0], dummies[2]) - both) / (questions - 1)
    residual = both / ((runs - 1) * (questions - 1))
    count = runs * questions
    assert found.own == pytest.approx([of_runs / count])
    assert found.questions == pytest.approx([max(of_questions - residual, 0) / count], abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(SIZES)
def test_the_pooled_variance_is_that_of_runs_within_arms_and_seeds(sizes):
    arms, runs, questions, seed = sizes
    task = scores(arms, runs, questions, seed)
    means = task.mean(-1)
    arm, run = (index.ravel() for index in np.indices(means.shape))
    design = np.hstack([np.eye(arms)[arm], np.eye(runs)[run][:, 1:]])
    fitted = design @ np.linalg.lstsq(design, means.ravel(), rcond=None)[0]
    residual = ((means.ravel() - fitted) ** 2).sum() / ((arms - 1) * (runs - 1))
    found = spread([task], [pair(0, 1)])
    assert found.pooled == pytest.approx([2 * residual / runs])
    if arms == 2:
        assert found.pooled == pytest.approx(found.own)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(0, 99))
def test_where_questions_agree_it_is_the_paired_t_test_of_run_means(runs, seed):
    drawn = scores(2, runs, 1, seed)
    task = np.repeat(drawn, 60, axis=-1)
    found = spread([task], [pair(0, 1)])
    assert found.questions == pytest.approx([0], abs=1e-12)
    expected = stats.ttest_rel(drawn[1, :, 0], drawn[0, :, 0]).pvalue
    assert found.p_values() == pytest.approx([expected], rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(SIZES, st.floats(0.001, 0.2))
def test_an_interval_ends_at_zero_where_its_level_is_the_p_value(sizes, level):
    task = scores(*sizes)
    found = spread([task], [pair(0, 1)])
    inside = np.abs(found.difference) < found.half_width(level)
    assert inside == (found.p_values() > level)


@pytest.mark.parametrize("questions", [1, 2, 5, 9])
@pytest.mark.parametrize("runs", [2, 3])
def test_few_questions_that_all_come_out_alike_say_no_more_than_mcnemars_test(questions, runs):
    task = np.stack([np.zeros((runs, questions)), np.ones((runs, questions))])
    found = spread([task], [pair(0, 1)])
    expected = stats.binomtest(0, questions).pvalue
    assert found.p_values() == pytest.approx([expected])
    assert (found.half_width(0.05) < 1) == (expected < 0.05)


def test_the_smallest_task_says_how_many_questions_speak_for_a_mean():
    tasks = [np.stack([np.zeros((3, n)), np.ones((3, n))]) for n in (1, 900)]
    assert spread(tasks, [pair(0, 1)]).p_values() == pytest.approx([stats.binomtest(0, 2).pvalue])


def test_no_difference_at_all_has_p_one():
    task = np.zeros((3, 3, 8))
    found = spread([task], [pair(0, 1), pair(0, 2)])
    assert (found.p_values() == 1).all() and (found.half_width(0.05) == 0).all()


def test_tasks_count_alike_whatever_their_questions():
    large, small = scores(3, 4, 50, 1), scores(3, 4, 5, 2)
    found = spread([large, small], [pair(0, 2)])
    alone = [spread([task], [pair(0, 2)]) for task in (large, small)]
    assert found.difference == pytest.approx((alone[0].difference + alone[1].difference) / 2)
    assert found.questions <= (alone[0].questions + alone[1].questions) / 4 + 1e-12


def test_many_trials_at_once_give_what_each_gives():
    trials = [scores(4, 3, 20, seed) for seed in range(5)]
    together = spread([np.stack(trials)], [pair(0, 1), pair(2, 3)])
    for number, trial in enumerate(trials):
        one = spread([trial], [pair(0, 1), pair(2, 3)])
        for name in ("difference", "own", "pooled", "questions"):
            assert getattr(together, name)[number] == pytest.approx(getattr(one, name))
        assert together.p_values()[number] == pytest.approx(one.p_values())


def test_one_run_is_refused():
    with pytest.raises(ValueError, match="one run"):
        spread([scores(2, 1, 9, 0)], [pair(0, 1)])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 30), st.integers(0, 99))
def test_pseudo_scores_have_the_weighted_mean_and_its_error(count, seed):
    random = np.random.default_rng(seed)
    values, weights = random.normal(size=count), random.integers(1, 50, count).astype(float)
    found = pseudo_scores(values, weights)
    mean, error = mean_and_stderr(values.tolist(), weights.tolist())
    assert found.mean() == pytest.approx(mean)
    assert np.std(found, ddof=1) / np.sqrt(count) == pytest.approx(error)
    assert pseudo_scores(values, np.full(count, 3.0)) == pytest.approx(values)


@pytest.mark.parametrize(
    ("comparisons", "freedom", "published"),
    [
        # Dunnett (1964), Biometrics 20, two-sided, 5 %.
        (1, 10, 2.23),
        (2, 10, 2.57),
        (3, 10, 2.76),
        (2, None, 2.21),
        (4, None, 2.44),
    ],
)
def test_quantiles_for_several_against_one_are_dunnetts(comparisons, freedom, published):
    assert dunnett_quantile(comparisons, freedom, 0.05) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize("freedom", [2, 10])
def test_quantiles_agree_with_scipys_multivariate_t(freedom):
    found = dunnett_quantile(3, freedom, 0.05)
    shape = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    several = stats.multivariate_t(shape=shape, df=freedom)
    inside = several.cdf([found] * 3, lower_limit=[-found] * 3, random_state=0)
    assert inside == pytest.approx(0.95, abs=2e-3)

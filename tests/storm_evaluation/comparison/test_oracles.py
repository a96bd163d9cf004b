"""The arithmetic of ledgers against scipy and statsmodels, where they have the test.

They know no questions, so here all questions of a run agree, and what varies are runs.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from storm_evaluation.ablation.design import controlled, effects
from storm_evaluation.comparison.inference import Family, dunnett_quantile, pair, spread
from storm_evaluation.comparison.several_runs import estimates
from storm_evaluation.comparison.significance import holm

QUESTIONS = 2000
"""So many that what none of them showed widens no interval."""


def of_runs(means: np.ndarray, contrasts):
    """The spread of arms [arms, runs] whose questions all agree."""
    return spread([np.repeat(means[..., None], QUESTIONS, -1)], contrasts)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("runs", [3, 5, 8])
def test_two_arms_are_scipys_paired_t_test_and_statsmodels_tost(runs, seed):
    draw = np.random.default_rng(seed)
    arms = 0.5 + 0.01 * draw.normal(size=(2, runs))
    arms[1] += 0.004
    found = estimates(of_runs(arms, [pair(0, 1)]), 0.05, Family(1))
    assert found["p"][0] == pytest.approx(stats.ttest_rel(arms[1], arms[0]).pvalue, rel=1e-5)
    low, high = stats.ttest_rel(arms[1], arms[0]).confidence_interval(0.95)
    assert (found["low"][0], found["high"][0]) == pytest.approx((low, high))
    assert found["together"][0] == pytest.approx((low, high), rel=1e-3)
    ends = found["equivalence"][0]
    for margin in (0.002, 0.01, 0.02, 0.05):
        p = ttost_paired(arms[1], arms[0], -margin, margin)[0]
        assert (-margin < ends[0] and ends[1] < margin) == (p < 0.05)


@pytest.mark.parametrize(("arms", "runs"), [(3, 3), (4, 5), (6, 4)])
def test_simultaneous_quantiles_are_scipys_dunnett(arms, runs):
    draw = np.random.default_rng(arms)
    groups = draw.normal(size=(arms, runs))
    found = stats.dunnett(*groups[1:], control=groups[0], rng=np.random.default_rng(1))
    ends = found.confidence_interval(0.95)
    error = np.sqrt(groups.var(1, ddof=1).mean() * 2 / runs)
    half = (np.asarray(ends.high) - np.asarray(ends.low)) / 2 / error
    quantile = dunnett_quantile(arms - 1, arms * (runs - 1), 0.05)
    assert half == pytest.approx(np.full(arms - 1, quantile), rel=0.01)


@pytest.mark.parametrize("comparisons", [1, 3, 6])
def test_quantiles_of_orthogonal_contrasts_without_error_are_sidaks(comparisons):
    expected = stats.norm.isf((1 - 0.95 ** (1 / comparisons)) / 2)
    assert dunnett_quantile(comparisons, None, 0.05, 0.0) == pytest.approx(expected, abs=1e-6)
    # Of fewer degrees of freedom: the studentised maximum modulus (Stoline and Ury, 1979).
    published = {1: 2.228, 3: 2.829, 6: 3.207}[comparisons]
    assert dunnett_quantile(comparisons, 10, 0.05, 0.0) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize("factors", [("a", "b"), ("a", "b", "c")])
def test_effects_of_a_factorial_are_those_of_statsmodels_analysis_of_variance(factors):
    draw, runs = np.random.default_rng(3), 4
    arms = controlled("full", factors)
    means = draw.normal(size=(len(arms), runs)) + draw.normal(size=(1, runs))
    rows = [
        {**{f: 0.5 - (f in names) for f in factors}, "seed": run, "score": means[number, run]}
        for number, names in enumerate(arms.values())
        for run in range(runs)
    ]
    terms = [
        ":".join(t) for n in range(1, len(factors) + 1) for t in itertools.combinations(factors, n)
    ]
    table = anova_lm(ols(f"score ~ C(seed) + {' + '.join(terms)}", pd.DataFrame(rows)).fit())
    wanted = effects("full", factors)
    contrasts = [{list(arms).index(arm): w for arm, w in e.items()} for e in wanted.values()]
    found = of_runs(means, contrasts)
    assert found.freedom == table.loc["Residual", "df"]
    f = [table.loc[name.replace(" × ", ":"), "F"] for name in wanted]
    assert found.difference**2 / found.pooled == pytest.approx(f)

"""Inference over runs and questions, for arms that were trained several times.

There are A arms, S runs (a seed is a block, with the same seeds in every arm) and the questions of
one or more tasks. The target is the mean effect over the populations of questions and runs. A
contrast, such as a difference between two arms, varies with the run (a: the variance of the run
means, over S), with the question (b: the variance of the question means, over their number) and
with both (c: the residual variance, over all answers); a + b - c is the variance of its mean. There
are two estimates of a: from the contrast's own runs, which are few, and pooled over all arms, which
misleads where arms vary unequally. An interval's half width squared is

    max(t² a_pooled, t² a_own) + z² max(b - c, 0)

with Student's t at (A - 1)(S - 1) degrees of freedom for the pooled estimate and 3/2 (S - 1) for
the contrast's own: more than the S - 1 that it has, since the pooled one takes over where it is
small by chance. No interval is narrower than few questions allow (`unseen_width`): questions that
all have the same outcome show no variation, which does not prove that there is none.

docs/statistics.md gives the error rates, and benchmarks/false_positives.py simulates them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from storm_evaluation.comparison.significance import Floats, unseen_width, weighted

Contrast = Mapping[int, float]
"""{arm: weight}; the weights add up to 0."""

_SMALLEST_P = 1e-12
_OWN = 1.5


def pair(first: int, second: int) -> Contrast:
    """Return the second arm less the first."""
    return {first: -1.0, second: 1.0}


@dataclasses.dataclass(frozen=True)
class Family:
    """Contrasts that are looked at together."""

    size: int
    correlation: float = 0.5
    """Of their run means: ½ for several arms against one of them (Dunnett); 0 for effects of a
    factorial, and wherever it is unknown, as fewer intervals then hold together (Šidák)."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Contrasts between arms and their variances, arrays [..., contrasts]."""

    difference: Floats
    """Mean of the contrast: for a pair, of the second arm minus that of the first."""
    own: Floats
    """Variance of the mean difference over runs, estimated from the contrast's own runs."""
    pooled: Floats
    """The same estimated from all arms, assuming equal variances."""
    questions: Floats
    """Variance of the mean difference over questions, 0 where none is observed."""
    reach: Floats
    """The assumed largest deviation of an unobserved question from the difference: as large as any
    observed one, with the opposite sign."""
    fewest: float
    """Effective number of questions: that of the smallest task, times the number of tasks."""
    tasks: int
    runs: int
    arms: int

    @property
    def own_freedom(self) -> float:
        """Degrees of freedom of `own`."""
        return _OWN * (self.runs - 1)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of `pooled`."""
        return (self.arms - 1) * (self.runs - 1)

    def half_width(self, level: float | Floats) -> Floats:
        """Return the half width of intervals at error probability `level` (0.05 for 95 %)."""
        tail = np.asarray(level) / 2
        return self._half(
            -special.stdtrit(self.freedom, tail),
            -special.stdtrit(self.own_freedom, tail),
            -special.ndtri(tail),
            tail,
        )

    def simultaneous_half_width(self, level: float, family: Family) -> Floats:
        """Return the same for simultaneous intervals (max-t) with joint error rate `level`."""
        size, correlation = family.size, family.correlation
        pooled, own, normal = (
            dunnett_quantile(size, freedom, level, correlation)
            for freedom in (self.freedom, self.own_freedom, None)
        )
        return self._half(pooled, own, normal, np.asarray(level / size / 2))

    def p_values(self) -> Floats:
        """Return two-sided p-values: the level at which the interval just reaches 0."""
        low = np.full(np.shape(self.difference), np.log(_SMALLEST_P))
        high = np.zeros_like(low)
        size = np.abs(self.difference)
        for _ in range(50):
            middle = (low + high) / 2
            inside = size < self.half_width(np.exp(middle))
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return np.where(size == 0, 1.0, np.exp((low + high) / 2))

    def _half(
        self, pooled_t: float | Floats, own_t: float | Floats, normal: float | Floats, tail: Floats
    ) -> Floats:
        runs = np.maximum(own_t**2 * self.own, pooled_t**2 * self.pooled)
        observed = np.sqrt(runs + normal**2 * self.questions)
        return np.maximum(observed, unseen_width(self.reach, self.fewest, tail))


def spread(tasks: Sequence[Floats], contrasts: Sequence[Contrast]) -> Spread:
    """Return the spread of the mean over tasks; a task is an array [..., arms, runs, questions].

    Every task has the same weight, whatever its number of questions; questions are nested in tasks.
    Raises ValueError for fewer than two runs.
    """
    means = sum(task.mean(-1) for task in tasks) / len(tasks)
    difference, own, pooled = over_runs(means, contrasts)
    questions, most = (
        np.stack(column, -1)
        for column in zip(*(_over_questions(tasks, each) for each in contrasts), strict=True)
    )
    arms, runs = means.shape[-2:]
    return Spread(
        difference=difference,
        own=own,
        pooled=pooled,
        questions=questions,
        reach=np.abs(difference) + most,
        fewest=len(tasks) * min(task.shape[-1] for task in tasks),
        tasks=len(tasks),
        runs=runs,
        arms=arms,
    )


def over_runs(means: Floats, contrasts: Sequence[Contrast]) -> tuple[Floats, Floats, Floats]:
    """Return differences [..., contrasts] of means [..., arms, runs], and two variances of them.

    The first is estimated from the contrast's own runs, the second is pooled over all arms. Raises
    ValueError for fewer than two runs.
    """
    arms, runs = means.shape[-2:]
    if runs < 2:
        raise ValueError("one run shows no variation over runs: compare trained models instead")
    residual = means - means.mean(-1, keepdims=True) - means.mean(-2, keepdims=True)
    residual = residual + means.mean((-2, -1), keepdims=True)
    variance = (residual**2).sum((-2, -1)) / ((arms - 1) * (runs - 1))
    squares = np.array([sum(weight**2 for weight in each.values()) for each in contrasts])
    by_run = np.stack([_combined(means, each, -2) for each in contrasts], -2)
    return by_run.mean(-1), by_run.var(-1, ddof=1) / runs, variance[..., None] * squares / runs


def _combined(values: Floats, contrast: Contrast, axis: int) -> Floats:
    """Return the weighted sum of values over their axis of arms."""
    return weighted([np.asarray(values.take(arm, axis)) for arm in contrast], contrast.values())


def _over_questions(tasks: Sequence[Floats], contrast: Contrast) -> tuple[Floats, Floats]:
    """Return a contrast's variance over questions, and its largest value for a question."""
    shape = tasks[0].shape[:-3]
    questions, most = np.zeros(shape), np.zeros(shape)
    for task in tasks:
        differences = _combined(task, contrast, -3)
        most = np.maximum(most, np.abs(differences.mean(-2)).max(-1))
        questions = questions + question_variance(differences) / len(tasks) ** 2
    return np.maximum(questions, 0), most


def question_variance(differences: Floats) -> Floats:
    """Return b - c of differences [..., runs, questions]: the questions' share of the variance.

    The estimate is unbiased and may be negative.
    """
    runs, count = differences.shape[-2:]
    if count < 2:
        return np.zeros(differences.shape[:-2])
    by_question = differences.mean(-2)
    total = ((differences - differences.mean((-2, -1), keepdims=True)) ** 2).sum((-2, -1))
    of_questions = runs * by_question.var(-1) * count
    of_runs = count * differences.mean(-1).var(-1) * runs
    residual = (total - of_questions - of_runs) / ((runs - 1) * (count - 1))
    return np.asarray(by_question.var(-1, ddof=1) / count - residual / (runs * count))


def pseudo_scores(scores: Floats, weights: Floats) -> Floats:
    """Return scores [..., questions] whose plain mean and its error are the weighted ones.

    The linearised ratio (Cochran, Sampling Techniques, 6.4); equal weights change nothing.
    """
    count, total = scores.shape[-1], weights.sum(-1, keepdims=True)
    mean = (weights * scores).sum(-1, keepdims=True) / total
    return np.asarray(mean + count * weights * (scores - mean) / total)


@functools.lru_cache(maxsize=256)
def dunnett_quantile(
    comparisons: int, freedom: float | None, level: float, correlation: float = 0.5
) -> float:
    """Return q: of `comparisons` with one control, max |t| exceeds q with chance `level`.

    Two-sided, equal numbers of runs (correlation ½); `freedom` None stands for infinity. With
    another correlation, the studentised maximum modulus of contrasts that are so correlated.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    shared = nodes * np.sqrt(correlation / (1 - correlation))
    shares = (np.arange(400) + 0.5) / 400
    scales = np.ones(1)
    if freedom is not None:
        scales = np.sqrt(2 * special.gammaincinv(freedom / 2, shares) / freedom)

    def exceeds(quantile: float) -> float:
        bound = np.sqrt(1 / (1 - correlation)) * quantile * scales[:, None]
        inside = special.ndtr(shared + bound) - special.ndtr(shared - bound)
        return 1 - float((inside**comparisons @ weights).mean())

    low, high = 0.0, 1e3
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if exceeds(middle) > level else (low, middle)
    return (low + high) / 2

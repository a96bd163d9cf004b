"""Paired statistics over documents that several models answered, as functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLOCK = 256


def bootstrap_means(
    scores_MN: Floats, weights_MN: Floats, resamples: int, rng: np.random.Generator
) -> Floats:
    """Return each model's weighted mean on resampled documents, shape (resamples, models).

    `scores_MN` and `weights_MN` have a row per model and a column per document. Every model sees
    the same resample, so differences between columns of the result are paired.
    """
    documents = scores_MN.shape[1]
    chances = np.full(documents, 1.0 / documents)
    weighted_NM, weights_NM = (weights_MN * scores_MN).T, weights_MN.T
    means = np.empty((resamples, scores_MN.shape[0]))
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        counts = rng.multinomial(documents, chances, size=size).astype(np.float64)
        means[start : start + size] = (counts @ weighted_NM) / (counts @ weights_NM)
    return means


def interval(draws: Floats, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of bootstrap draws."""
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)


def unseen_width(reach: Floats, questions: float, tail: Floats) -> Floats:
    """Return the possible error of a mean of n `questions` from outcomes that none of them showed.

    With probability `tail`, n questions miss an outcome that a share 1 - tail^(1/n) of all
    questions has (Clopper and Pearson), and each of these may deviate by `reach`. With a reach of
    twice the difference, where all n answers differ equally, the interval reaches 0 at the p-value
    of McNemar's exact test.
    """
    return np.asarray(reach * (1.0 - np.asarray(tail) ** (1.0 / questions)))


def effective_questions(weights_MN: Floats) -> float:
    """Return Kish's effective number of questions, the least over the rows."""
    return float((weights_MN.sum(-1) ** 2 / (weights_MN**2).sum(-1)).min())


def mcnemar(first: Floats, second: Floats) -> float:
    """Return the exact two-sided p-value of McNemar's test for paired 0/1 scores.

    Under the null hypothesis, either wins a document on which they differ with probability ½.
    """
    wins = int(np.sum((first == 0) & (second == 1)))
    losses = int(np.sum((first == 1) & (second == 0)))
    return binomial_half(min(wins, losses), wins + losses)


def binomial_half(successes: int, trials: int) -> float:
    """Return min(1, 2·P(X ≤ successes)) for X ~ Binomial(trials, ½), successes ≤ trials/2."""
    if trials == 0:
        return 1.0
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        for k in range(successes + 1)
    ]
    top = max(logs)
    total = math.fsum(math.exp(value - top) for value in logs)
    return min(1.0, math.exp(math.log(2 * total) + top - trials * math.log(2)))


def sign_flip(differences: Floats, resamples: int, rng: np.random.Generator) -> float:
    """Return the two-sided p-value of a sum of differences under random signs.

    This is the paired permutation test: under the null hypothesis the two models are exchangeable.
    The observed assignment counts as one of the draws, so p is never 0.
    """
    observed = abs(float(differences.sum()))
    if not np.any(differences):
        return 1.0
    hits, slack = 0, 1e-12 * float(np.abs(differences).sum())
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        signs = rng.integers(0, 2, size=(size, len(differences))) * 2.0 - 1.0
        hits += int(np.sum(np.abs(signs @ differences) >= observed - slack))
    return (hits + 1) / (resamples + 1)


def contributions(
    scores: Iterable[Floats], weights: Iterable[Floats], contrast: Sequence[float] = (-1.0, 1.0)
) -> Floats:
    """Return per-document terms whose sum is a contrast of the models' weighted means.

    By default, the contrast is that of two models: the second less the first.
    """
    return weighted([w * s / w.sum() for s, w in zip(scores, weights, strict=True)], contrast)


def weighted(rows: Iterable[Floats], weights: Iterable[float]) -> Floats:
    """Return the weighted sum of rows, one for each weight."""
    terms = [weight * row for weight, row in zip(weights, rows, strict=True)]
    return np.asarray(sum(terms[1:], terms[0]))


def clustered_stderr(differences: Sequence[float]) -> float | None:
    """Return the standard error of a mean of per-task differences, s/√T; None for one task.

    Bootstrap and tests here are conditional on the tasks; this is the error when the tasks are a
    sample of such tasks (Miller 2024, arXiv:2411.00640, 2.2).
    """
    if len(differences) < 2:
        return None
    return float(np.std(differences, ddof=1) / math.sqrt(len(differences)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's step-down method, in the same order."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def is_binary(scores: Floats) -> bool:
    """Return whether every score is 0 or 1."""
    return bool(np.all((scores == 0) | (scores == 1)))

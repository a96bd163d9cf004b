"""What a model thinks of the right answer, beside whether it chose it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from storm_evaluation.sample import LOG_LIKELIHOOD, PROBABILITY


def measure(log_likelihoods: Sequence[float], right: Sequence[int]) -> dict[str, float]:
    """Return the log-likelihood of the right answer, and its probability among the choices.

    `right` are the positions of the right answers: of several, the likeliest counts, and their
    probabilities are added. Empty where no answer is right, or none is possible. A single answer
    that is no choice has no probability.
    """
    likeliest = max((log_likelihoods[index] for index in right), default=-math.inf)
    if not math.isfinite(likeliest):
        return {}
    measured = {LOG_LIKELIHOOD: likeliest}
    if len(log_likelihoods) > 1:
        top = max(log_likelihoods)
        shares = [math.exp(value - top) for value in log_likelihoods]
        measured[PROBABILITY] = sum(shares[index] for index in right) / sum(shares)
    return measured


def right_choices(task: Any, document: Any, target: Any, choices: Sequence[str]) -> list[int]:
    """Return the positions of the right ones among a harness task's choices, as it finds them."""
    stated = task.doc_to_text(document) if task.multiple_input else target
    found = []
    for each in stated if isinstance(stated, list) else [stated]:
        if isinstance(each, str):
            each = choices.index(each) if each in choices else -1
        if isinstance(each, int) and 0 <= each < len(choices):
            found.append(each)
    return found

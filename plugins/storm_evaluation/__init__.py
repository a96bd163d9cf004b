"""Measuring models: lm-evaluation-harness, held-out rows, paired statistics."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the evaluators."""
    from storm_evaluation.benchmark import LmEval

    return [LmEval]

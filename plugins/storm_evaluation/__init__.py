"""Measuring models: lm-evaluation-harness, held-out rows, paired statistics."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the evaluators and the comparison."""
    from storm_evaluation.benchmark import LmEval
    from storm_evaluation.held_out import HeldOut
    from storm_evaluation.paired import Paired

    return [LmEval, HeldOut, Paired]

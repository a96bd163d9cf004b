"""Evaluating models: lm-evaluation-harness, held-out rows, paired statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section
    from storm_inference.environments.environment import Environment
    from storm_report.look.view import View

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the evaluators and the comparison."""
    from storm_evaluation.comparison.paired import Paired
    from storm_evaluation.function_calling.tool_calls import ToolCalls
    from storm_evaluation.harness.lm_eval import LmEval
    from storm_evaluation.held_out.held_out import HeldOut
    from storm_evaluation.held_out.held_out_pairs import HeldOutPairs
    from storm_evaluation.held_out.held_out_text import HeldOutText

    return [LmEval, HeldOut, HeldOutPairs, HeldOutText, ToolCalls, Paired]


@hookimpl
def storm_environments() -> list[Environment]:
    """Return the environment of the Berkeley leaderboard's questions."""
    from storm_evaluation.function_calling.berkeley import berkeley

    return [berkeley()]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("lm_eval", "torch"), "evaluate"


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on all models over all tasks, learning curves and answers."""
    from storm_evaluation.report import answers, learning_curve, over_runs, sections

    parts = (over_runs, sections, learning_curve, answers)
    return [section for part in parts for section in part.sections(run)]


@hookimpl
def storm_views() -> list[View]:
    """Return the view of evaluations."""
    from storm_evaluation.look.evaluation_view import EvaluationView

    return [EvaluationView()]

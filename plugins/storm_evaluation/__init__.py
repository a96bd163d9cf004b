"""Evaluating models: lm-evaluation-harness, held-out rows, paired statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp import Answer, Composition, Plan
    from storm_exp.report import RunRecord, Section
    from storm_inference.environments.environment import Environment
    from storm_report.look.view import View

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the evaluators, what they ask, and the comparison."""
    from storm_evaluation.comparison.paired import Paired
    from storm_evaluation.function_calling.tool_calls import ToolCalls
    from storm_evaluation.harness.lm_eval import LmEval
    from storm_evaluation.held_out.held_out import HeldOut
    from storm_evaluation.held_out.held_out_pairs import HeldOutPairs
    from storm_evaluation.held_out.held_out_text import HeldOutText
    from storm_evaluation.questions.held_out_questions import HeldOutQuestions
    from storm_evaluation.questions.task_questions import TaskQuestions
    from storm_evaluation.questions.tool_questions import ToolQuestions

    evaluators = [LmEval, HeldOut, HeldOutPairs, HeldOutText, ToolCalls]
    return [*evaluators, Paired, TaskQuestions, HeldOutQuestions, ToolQuestions]


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
def storm_sections() -> dict[str, type]:
    """Return the sections `ablation` and `evaluation`."""
    from storm_evaluation.ablation.section import AblationSection
    from storm_evaluation.interim.section import EvaluationSection

    return {"ablation": AblationSection, "evaluation": EvaluationSection}


@hookimpl
def storm_actions() -> dict[str, Callable[[list[Composition]], Answer]]:
    """Return the verb that tells what each step of a recipe is worth."""

    def ablate(cells: list[Composition]) -> Answer:
        """Tell what each step of a recipe is worth, against its control.

        usage: storm-exp ablate recipe=NAME seed=0,1,2 [setting=value …] [--power] [--json]

        Runs the recipe, and the recipe with the control of each of its factors in turn; what they
        share is made once. The report begins with the effect of every factor on the scores of the
        result, with intervals over runs and questions. With --power nothing runs: it says which
        effects could be seen, and how many seeds an effect of ablation.power=0.02 needs. What it
        would make: storm-exp plan -m hydra/sweeper=ablation recipe=NAME seed=0,1,2.

        for example:
            storm-exp ablate recipe=storm seed=0,1,2
            storm-exp ablate recipe=storm seed=0,1 ablation.design=full ablation.controls.slerp=null
            storm-exp ablate recipe=storm seed=0,1,2 ablation.controls.difficulty=null
            storm-exp ablate recipe=storm seed=0,1,2,3,4 --power
        """
        from storm_evaluation.ablation.verb import ablate

        return ablate(cells)

    def words(given: list[str]) -> list[str]:
        named = ["ablation.power=0.02" if word == "--power" else word for word in given]
        return ["-m", "hydra/sweeper=ablation", *named]

    ablate.words = words  # type: ignore[attr-defined]
    return {"ablate": ablate}


@hookimpl
def storm_plan_notices(plan: Plan) -> list[str]:
    """Return how much the arms of an ablation share."""
    from storm_evaluation.ablation.planned_arms import notices

    return notices(plan)


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return the verbs that run again what was recorded, and that compare."""
    from storm_evaluation.reproduction.verb import reproduce
    from storm_evaluation.side_by_side.verb import compare

    return {"compare": compare, "reproduce": reproduce}


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on models over tasks, touched questions, curves and answers."""
    from storm_evaluation.report import (
        ablation,
        answers,
        contamination,
        learning_curve,
        over_runs,
        questions,
        sections,
        step_curves,
    )
    from storm_evaluation.report.lineup import find_lineups
    from storm_evaluation.report.model_group import model_groups

    lineups = find_lineups(run)
    groups = model_groups(run, lineups)
    return [
        *ablation.sections(run),
        *over_runs.sections(run),
        *sections.sections(run, lineups),
        *contamination.sections(run, lineups),
        *learning_curve.sections(run),
        *step_curves.sections(run),
        *answers.sections(run, groups),
        *questions.sections(run, groups),
    ]


@hookimpl
def storm_closing_lines(run: RunRecord) -> list[str]:
    """Return the effects that an ablation found."""
    from storm_evaluation.report.ablation import lines

    return lines(run)


@hookimpl
def storm_views() -> list[View]:
    """Return the view of evaluations."""
    from storm_evaluation.look.evaluation_view import EvaluationView

    return [EvaluationView()]

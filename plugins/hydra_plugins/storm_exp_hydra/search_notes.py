"""What the report of a search says of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra_plugins.storm_exp_hydra.objectives import Objective
from hydra_plugins.storm_exp_hydra.search_space import SearchSpace

if TYPE_CHECKING:
    from hydra_plugins.storm_exp_hydra.study import Study
    from storm_report.sweep_notes import SweepNotes


def search_notes(
    study: Study, space: SearchSpace, objectives: Sequence[Objective], sampler: str
) -> SweepNotes:
    """Return a table of all trials, in their order, and lines on the best and on those that failed.

    With several objectives the best are those that no other trial beats in all of them.
    """
    from storm_report.sweep_notes import SweepNotes

    front = set(study.front())
    rows, best, failed = [], [], []
    for trial in study.trials():
        figures = [f"{figure:.4g}" for figure in trial.user_attrs.get("figures", [])]
        reason = str(trial.user_attrs.get("reason", ""))
        outcome = f"failed: {reason}" if reason else "best" if trial.number in front else ""
        values = [each.word(trial.params[name]) for name, each in space.dimensions.items()]
        rows.append([str(trial.number), *values, *(figures or [""] * len(objectives)), outcome])
        said = f"trial {trial.number}: {space.shown(trial.params)}"
        if reason:
            failed.append(f"failed   {said}: {reason.splitlines()[0]}")
        elif trial.number in front and len(objectives) > 1:
            shown = ", ".join(f"{o.name} {f}" for o, f in zip(objectives, figures, strict=True))
            best.append(f"front    {said}: {shown}")
    seeds = ", mean over seeds" if space.seeds else ""
    return SweepNotes(
        title=f"Search by optuna ({sampler})",
        caption=f"{len(rows)} trials in the order in which they were asked for{seeds}.",
        header=["trial", *space.dimensions, *(each.name for each in objectives), ""],
        rows=rows,
        lines=[*best, *failed],
    )

"""Trackers: a run is shown in MLflow, W&B, trackio or TensorBoard, if the user asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import Manifest, hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord

storm_api = ">=1,<2"


@hookimpl
def storm_sections() -> dict[str, type]:
    """Return the section `tracker`, which chooses a tracker or none."""
    from storm_trackers.section import TrackerSection

    return {"tracker": TrackerSection}


@hookimpl
def storm_config_folder() -> str:
    """Return the folder of the section's presets: `tracker=wandb`."""
    return str(Path(__file__).parent / "conf")


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return the verb that shows a finished run to a tracker."""
    from storm_trackers.verb import track

    return {"track": track}


@hookimpl
def storm_run_started(run: RunRecord) -> None:
    """Start the process that follows the run, if there is a tracker."""
    if run.cells[0].config.get("tracker", {}).get("kind", "none") != "none":
        from storm_trackers.following import start

        start(run)


@hookimpl
def storm_stage_finished(run: RunRecord, manifest: Manifest) -> None:
    """Pass on what a stage measured."""
    from storm_trackers.following import note_stage

    note_stage(run, manifest)


@hookimpl
def storm_run_finished(run: RunRecord) -> None:
    """Let the tracker finish, for a limited time."""
    from storm_trackers.following import finish

    finish(run)


@hookimpl
def storm_completions() -> dict[str, Callable[[list[str]], list[str]]]:
    """Return what a shell offers behind `track`: a run, then a tracker."""
    from storm_report.completions import run_names
    from storm_trackers.section import KINDS, NONE

    return {
        "track": lambda words: [kind for kind in KINDS if kind != NONE] if words else run_names([])
    }

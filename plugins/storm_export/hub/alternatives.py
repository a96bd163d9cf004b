"""What can be pushed in place of what was named, or how to get it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from storm_export.hub.exporter import LOCK
from storm_inference.targets.exporting import export_command
from storm_inference.targets.target import LATEST, Target

CARD = "README.md"


def is_hub_folder(place: Path) -> bool:
    """Return whether a folder has a model, its card and its recipe."""
    return all((place / name).is_file() for name in (CARD, LOCK, "config.json"))


def alternatives(target: Target | None = None) -> str:
    """Return what the latest run has for the hub, or else how to get it of a target."""
    if labels := _stages(is_hub_folder):
        return f"of the latest run, {' and '.join(labels)} can be pushed"
    there = "the latest run has no such stage" if LATEST.exists() else f"there is no run ({LATEST})"
    if (LATEST / "cells").is_dir():
        there = "the latest run is a sweep, which has one only if its targets name an exporter"
    return f"{there}; {_how_to_get_one(target)} (docs/export.md)"


def _how_to_get_one(target: Target | None) -> str:
    """Return words for the command of the run, which may connect evaluations, or a command."""
    models = _stages(lambda place: (place / "config.json").is_file())
    add = "+exporter@hub=hub_folder +graph.hub.model="
    if target is not None and target.word in models:
        return f"add {add}{target.word} to the command of the run"
    if target is not None and target.has_checkpoint():
        return f"{export_command(target, 'hub')} makes one"
    if not models:
        return "storm-exp recipe=export base_model.path=MODEL 'targets=[hub]' makes one"
    return f"add {add}STAGE to the command of the run; STAGE is one of {', '.join(models)}"


def _stages(holds: Callable[[Path], bool]) -> list[str]:
    """Return the labels of the latest run's stages whose folders `holds` accepts."""
    return sorted(place.name for place in LATEST.glob("*") if holds(place))

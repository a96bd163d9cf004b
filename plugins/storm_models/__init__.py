"""Checkpoints: found in a folder, on the hub, or made by a program; their headers and tensors."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from storm_exp import Runtime, hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section


@hookimpl
def storm_components() -> list[type]:
    """Return the components that adopt or make a checkpoint without training."""
    from storm_models.command import Command
    from storm_models.sources.hub import Hub
    from storm_models.sources.new_model import NewModel
    from storm_models.sources.path import Path
    from storm_models.twins.model_twin import ModelTwin

    return [Hub, Path, Command, NewModel, ModelTwin]


@hookimpl
def storm_compute(runtime: Runtime) -> AbstractContextManager[str]:
    """Have torch compute as the runtime says."""
    from storm_models.devices import computing

    return computing(runtime)


@hookimpl
def storm_device_count(kind: str) -> int | None:
    """Return how many devices of a kind torch sees."""
    from storm_models.devices import device_count

    return device_count(kind)


@hookimpl
def storm_sections() -> dict[str, type]:
    """Return the section whose values are the defaults of how chats are rendered."""
    from storm_models.chat.settings import ChatSection

    return {"chat": ChatSection}


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's section on models whose depth was changed."""
    from storm_models.report import sections

    return sections(run)

"""Checkpoints: found in a folder, on the hub, or made by a program; their headers and tensors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from storm_exp import Answer, Composition, Plan, Runtime, hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the components that adopt or make a checkpoint without training."""
    from storm_models.sources.hub import Hub
    from storm_models.sources.new_model import NewModel
    from storm_models.sources.path import Path
    from storm_models.twins.model_twin import ModelTwin

    return [Hub, Path, NewModel, ModelTwin]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers"), "train"


@hookimpl
def storm_actions() -> dict[str, Callable[[list[Composition]], Answer]]:
    """Return the verb that runs a recipe on small substitutes for large models and data."""

    def rehearse(cells: list[Composition]) -> Answer:
        """Run a recipe on small stand-ins first.

        usage: storm-exp rehearse recipe=NAME [setting=value …] [--json]

        The same graph, components and settings run end to end, on small models and a few rows. A
        verdict tells what ran, what was replaced, where it broke, and what remains untested.

        for example:
            storm-exp rehearse recipe=storm_8b
            storm-exp rehearse recipe=storm_own base_model.path=MODEL dataset.path=CHATS.jsonl
        """
        from storm_models.rehearsal.rehearse import rehearse

        return rehearse(cells)

    return {"rehearse": rehearse}


@hookimpl
def storm_compute(runtime: Runtime) -> AbstractContextManager[str]:
    """Let torch compute with the runtime's threads and on its device."""
    from storm_models.devices import computing

    return computing(runtime)


@hookimpl
def storm_check_runtime(runtime: Runtime) -> None:
    """Refuse accelerators, strategies and launchers that are not known."""
    from storm_models.estimate.hardware import check_accelerator
    from storm_models.workers import check_names

    check_accelerator(runtime)
    check_names(runtime)


@hookimpl
def storm_check_machine(runtime: Runtime) -> None:
    """Refuse devices that torch does not see, and srun where it is not installed."""
    from storm_models.workers import check_machine

    check_machine(runtime)


@hookimpl
def storm_launcher(runtime: Runtime, worker: list[str], key: str) -> list[str]:
    """Start workers by torchrun, under srun in a Slurm allocation."""
    from storm_models.workers import command

    return command(runtime, worker, key)


@hookimpl
def storm_check_plan(plan: Plan) -> None:
    """Refuse what does not fit on an accelerator that was named."""
    from storm_models.estimate.estimate import Estimate

    if plan.cells[0].recipe.runtime.accelerator:
        Estimate(plan).check()


@hookimpl
def storm_plan_notices(plan: Plan) -> list[str]:
    """Return the estimate of tokens, FLOPs, memory, disk and hours."""
    from storm_models.estimate.estimate import Estimate

    return Estimate(plan).lines()


@hookimpl
def storm_look_up(plan: Plan, online: bool) -> tuple[list[str], list[str]]:
    """Name what only the hub knows of a plan; if `online`, ask it."""
    from storm_models.sources.online import look_up, not_checked

    return look_up(plan) if online else (not_checked(plan), [])


@hookimpl
def storm_sections() -> dict[str, type]:
    """Return the section `chat`, the defaults of how chats are rendered."""
    from storm_models.chat.settings import ChatSection

    return {"chat": ChatSection}


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's section on models whose depth was changed."""
    from storm_models.report import sections

    return sections(run)

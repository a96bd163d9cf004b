"""The command line, and plans, inside the process of a test."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from storm_exp.__main__ import main
from storm_exp._contract.errors import PluginError
from storm_exp._contract.plugin_hooks import hookimpl
from storm_exp._contract.plugins import load_plugins
from storm_exp._plan.plan import Plan
from storm_exp._run import application
from storm_exp._run.record import RunRecord, StageRecord
from storm_exp._run.run import Composition, make_plan


@dataclasses.dataclass(frozen=True)
class CommandResult:
    """What a command line came to."""

    code: int
    """The exit code."""
    out: str
    """What was printed."""
    err: str
    """What was written to standard error: progress, and what went wrong."""
    plan: Plan | None
    """What was planned last, None where nothing was."""
    record: RunRecord | None
    """The record of the run, or of the rehearsal, None where nothing was run."""

    @property
    def error(self) -> str:
        """The message behind `error:`, empty where the command line did not refuse or fail."""
        return f"\n{self.err}".partition("\nerror: ")[2].strip()

    def stage(self, label: str) -> StageRecord:
        """Return the record of a stage of the run, such as `evaluator[merger]`.

        Of a sweep it is that of the first cell. Raises KeyError where there is none.
        """
        stages = (
            [stage for cell in self.record.cells for stage in cell.stages] if self.record else []
        )
        for stage in stages:
            if stage.label == label:
                return stage
        raise KeyError(f"no stage '{label}' among {sorted({each.label for each in stages})}")


class Listener:
    """A plugin that remembers what was planned and what was run."""

    plan: Plan | None = None
    record: RunRecord | None = None

    @hookimpl
    def storm_check_plan(self, plan: Plan) -> None:
        """Remember a plan, before others refuse it."""
        self.plan = plan

    @hookimpl
    def storm_run_finished(self, run: RunRecord) -> None:
        """Remember the record of a run, finished or not."""
        self.record = run


@contextlib.contextmanager
def isolated(folder: Path) -> Iterator[None]:
    """Work in a folder, and leave the process as it was: Hydra, logging, environment, arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    root, arguments, environment = logging.getLogger(), sys.argv, dict(os.environ)
    logs, handlers, level = logging.Logger.manager.disable, root.handlers[:], root.level
    sys.argv = ["storm-exp"]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        sys.argv, root.handlers, root.level = arguments, handlers, level
        logging.disable(logs)
        os.environ.clear()
        os.environ.update(environment)


@contextlib.contextmanager
def listening() -> Iterator[Listener]:
    """Hear of plans and runs; of none where the plugins cannot be loaded."""
    listener = Listener()
    try:
        manager = load_plugins().manager
    except PluginError:  # which the command line tells
        yield listener
        return
    manager.register(listener)
    try:
        yield listener
    finally:
        manager.unregister(listener)


def run(folder: Path, *arguments: str) -> CommandResult:
    """Run a command line as if it was typed in a folder: `run(tmp_path, "recipe=sum", "seed=2")`.

    `run(tmp_path, "plan", "recipe=sum")` plans, and so on for every verb. What it makes is in
    `outputs` below the folder.
    """
    out, err = _Captured(), _Captured()
    with (
        isolated(folder),
        listening() as listener,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _exit_code(list(arguments))
    return CommandResult(code, out.text(), err.text(), listener.plan, listener.record)


class _Captured(io.TextIOWrapper):
    """A stream of bytes, as the standard streams are, that is kept in memory."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def text(self) -> str:
        """Return what was written."""
        return self._bytes.getvalue().decode("utf-8")


def _exit_code(arguments: list[str]) -> int:
    """Return how a process of the command line would exit, also where a verb raises SystemExit."""
    try:
        return main(arguments)
    except SystemExit as left:
        if left.code is None or isinstance(left.code, int):
            return left.code or 0
        print(left.code, file=sys.stderr)
        return 1


def plan(folder: Path, *arguments: str) -> Plan:
    """Return the plan of a recipe, or of a sweep: `plan(tmp_path, "recipe=sum", "adder.amount=2")`.

    Raises the StormError that the command line would tell.
    """
    plans: list[Plan] = []

    def keep(cells: list[Composition]) -> list[Any]:
        plans.append(make_plan(cells))
        return [None] * len(cells)

    with isolated(folder):
        application.compose_and_act(list(arguments), keep)
    return plans[0]

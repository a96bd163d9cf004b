"""Running: plan one or several recipes as one, make what is missing, record it, report."""

from __future__ import annotations

import dataclasses
import logging
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from storm_exp._compose.provenance import read_origins
from storm_exp._compose.recipe import read_place, read_recipe
from storm_exp._contract.errors import (
    ComposeError,
    Interrupted,
    PlanError,
    SettingError,
    StageError,
    StormError,
    writing,
)
from storm_exp._contract.plugins import load_plugins
from storm_exp._plan.plan import Plan
from storm_exp._plan.planned_artifact import PlannedArtifact
from storm_exp._run import console
from storm_exp._run.executor import Executor
from storm_exp._run.record import (
    RunRecord,
    command_line,
    describe_environment,
    link_artifacts,
    new_run_folder,
    point_latest,
    record_cell,
)
from storm_exp._run.report import closing_table, write_report
from storm_exp._run.signals import Signals
from storm_exp._store.maker import MadeArtifact
from storm_exp._store.store import Store

_BRIEF = 400
"""Characters of a failure that the last line of a run repeats."""


@dataclasses.dataclass
class Composition:
    """One composed configuration, as Hydra hands it over."""

    name: str
    """Empty for a single run, else what tells the cell apart from its siblings."""
    config: DictConfig
    hydra: DictConfig
    """What Hydra says of the composition: overrides, choices."""


def make_plan(compositions: list[Composition]) -> Plan:
    """Plan all compositions as one; raises a StormError before anything is made."""
    _check_shared(compositions)
    plugins = load_plugins()
    plan = Plan(Store(Path(str(compositions[0].config.store.path))))
    plan.store.check_format()
    shared: dict[Any, Any] = {}
    for composition in compositions:
        origins = read_origins(composition.hydra)
        try:
            recipe = read_recipe(composition.config, plugins, origins, shared)
            plan.add(composition.name, recipe, origins.overrides)
        except StormError as error:
            if not composition.name:
                raise
            raise PlanError(f"the cell {composition.name} cannot run: {error}") from error
    plugins.hook.storm_check_plan(plan=plan)
    return plan


def check_here(plan: Plan) -> None:
    """Raise PlanError when what is to be made asks for devices that this machine does not have."""
    recipe = plan.cells[0].recipe
    if not plan.to_make():
        return
    try:
        load_plugins().hook.storm_check_machine(runtime=recipe.runtime)
    except SettingError as error:
        raise PlanError(recipe.origins.locate(error, "runtime")) from error


def _check_shared(compositions: list[Composition]) -> None:
    """Raise ComposeError for folders that are none, and for cells that need two of one."""
    first = compositions[0]
    for name in ("outputs", "store.path"):
        read_place(first.config, name, read_origins(first.hydra))
    for name in ("outputs", "store", "runtime"):
        for other in compositions[1:]:
            here, there = first.config[name], other.config[name]
            if here == there:
                continue
            if name != "outputs":
                key = next(k for k in {**here, **there} if here.get(k) != there.get(k))
                name, here, there = f"{name}.{key}", here.get(key), there.get(key)
            raise ComposeError(
                f"{name} is {here} in one cell and {there} in another, and a sweep has one: run "
                f"them one after the other ({read_origins(other.hydra).of(name)})"
            )


def run(compositions: list[Composition]) -> RunRecord:
    """Make what the recipes need and the store lacks; return the record, which is written.

    Raises StageError when a stage failed, after recording what was made; the cells of a sweep
    that do not need the failed stage are finished first.
    """
    plan = make_plan(compositions)
    check_here(plan)
    return carry_out(plan, compositions, Path(compositions[0].config.outputs).expanduser())


def carry_out(
    plan: Plan, compositions: list[Composition], outputs: Path, rehearsal: Sequence[str] = ()
) -> RunRecord:
    """Make what a plan of these compositions lacks, as `run` does; records go to `outputs`.

    `rehearsal` says what to know of the run, where it is none of the real thing.
    """
    started = time.monotonic()
    recipe = plan.cells[0].recipe
    name = recipe.name if len(plan.cells) == 1 else f"{recipe.name}-sweep"
    if plan.to_make():
        plan.store.prepare()
    folder = new_run_folder(outputs, name.replace("/", "-") or "run")
    console.announce(plan, folder)
    recipe.runtime.limit_threads()
    record = RunRecord(
        directory=folder,
        recipe=recipe.name,
        scale=plan.scale,
        when=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        argv=command_line(),
        seconds=0.0,
        status="failed",
        environment=describe_environment(),
        cells=[],
        rehearsal=list(rehearsal),
    )
    outcomes: dict[str, MadeArtifact | BaseException] = {}
    with logging_to(folder / "log.txt"), Signals() as signals:
        executor = Executor(plan.store, recipe.runtime, folder / "log.txt", signals)
        failure = _make_missing(plan, executor, outcomes, signals)
        record.cells = [
            record_cell(cell, composition.config, plan.store, outcomes)
            for cell, composition in zip(plan.cells, compositions, strict=True)
        ]
        if failure is None and not compositions[0].name:
            failure = _write_out(plan, executor, record)
        if failure is None:
            record.status = "finished"
        elif isinstance(failure, Interrupted):
            record.status, failure.code = "interrupted", 128 + (signals.came or signal.SIGINT)
        record.seconds = round(time.monotonic() - started, 3)
        _finish(record, outputs)
    if failure is not None:
        raise _in_brief(failure)
    return record


def _in_brief(failure: BaseException) -> BaseException:
    """Return a failure that was said in full when it happened, cut where it is long."""
    text = str(failure)
    if not isinstance(failure, StageError) or len(text) <= _BRIEF:
        return failure
    brief = StageError(f"{text[:_BRIEF].rstrip()} … (said in full above, and in the report)")
    brief.__cause__ = failure
    return brief


def _make_missing(
    plan: Plan,
    executor: Executor,
    outcomes: dict[str, MadeArtifact | BaseException],
    signals: Signals,
) -> BaseException | None:
    """Make every missing node whose inputs are there; return the first failure, or interruption."""
    failure: BaseException | None = None
    missing = plan.to_make()
    for position, node in enumerate(missing, start=1):
        if node.key in outcomes or not _inputs_are_there(node):
            continue
        console.start_stage(node, position, len(missing))
        try:
            outcomes[node.key] = made = executor.make(node)
            console.end_stage(node, made.made_here, made.seconds)
            _tell("storm_stage_finished", label=node.label, manifest=made.manifest)
            for refused, error in plan.learn(node):
                outcomes[refused.key] = error
                failure = failure or error
                console.say(f"  {error}")
            if signals.came:  # and the stage finished nevertheless
                raise Interrupted(f"interrupted after {node.label}")
        except StageError as error:
            outcomes[node.key] = error
            failure = failure or error
            console.say(f"  {error}")
        except Interrupted as interruption:
            outcomes.setdefault(node.key, interruption)
            console.say(f"  {interruption}")
            return interruption
        except KeyboardInterrupt:
            return Interrupted(f"interrupted after {node.label}")
    return failure


def _write_out(plan: Plan, executor: Executor, record: RunRecord) -> BaseException | None:
    """Have every artifact of a run of one recipe written in full; return what went wrong."""
    try:
        for stage in record.stages():
            if stage.directory:
                stage.written = str(executor.write_out(plan.nodes[stage.key]))
    except StageError as error:
        return error
    except KeyboardInterrupt:
        return Interrupted("interrupted while artifacts were written out")
    return None


def _inputs_are_there(node: PlannedArtifact) -> bool:
    return all(n.manifest is not None for nodes in node.inputs.values() for n in nodes)


def _finish(record: RunRecord, outputs: Path) -> None:
    """Write record, links and report, and say how the run ended; raises RunFolderError."""
    with writing(record.directory):
        record.write()
    try:
        for number, cell in enumerate(record.cells):
            below = record.directory / "cells" / str(number)
            link_artifacts(below if record.is_sweep else record.directory, cell)
        point_latest(outputs, record.directory)
    except OSError as error:  # some file systems have no links, and the run is done
        console.say(f"  cannot link to what was made: {error}")
    with writing(record.directory):
        rows, table = closing_table(record, load_plugins())
        report = write_report(record, load_plugins())
    console.conclude(record, rows, {"report": report, "table": table})
    _tell("storm_run_finished", run=record)


def _tell(event: str, **arguments: Any) -> None:
    """Call a lifecycle hook; what a tracker raises does not end the run."""
    for problem in load_plugins().tell(event, **arguments):
        console.say(f"  {problem}")


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Send the libraries' log records and warnings to a file instead of the screen."""
    with writing(file):
        handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    # A full disk under the log is no reason for a run to fail.
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.handlers, root.level = before
        with suppress(OSError):
            handler.close()

"""Running: plan one or more recipes together, make what is missing, record it, report."""

from __future__ import annotations

import dataclasses
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from storm_exp._compose.provenance import read_origins
from storm_exp._compose.recipe import read_place, read_recipe
from storm_exp._compose.run_names import read_run_names
from storm_exp._contract import errors
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.stage_context import LOG_TIME
from storm_exp._plan.plan import Plan
from storm_exp._plan.planned_artifact import PlannedArtifact
from storm_exp._run import console
from storm_exp._run.executor import Executor
from storm_exp._run.record import (
    RunRecord,
    link_artifacts,
    new_run_folder,
    point_latest,
    record_cell,
    record_stages,
)
from storm_exp._run.report import closing_lines, closing_table, write_report
from storm_exp._run.signals import Signals
from storm_exp._store.artifact_maker import MadeArtifact
from storm_exp._store.claim import claim
from storm_exp._store.store import Store

_BRIEF = 400
"""Maximum length of the error message in the last line of a run."""


@dataclasses.dataclass
class Composition:
    """Configuration composed by Hydra."""

    name: str
    """Overrides that distinguish a cell of a sweep; empty for a single run."""
    config: DictConfig
    hydra: DictConfig
    """Hydra's own node: overrides, choices."""


Action = Callable[[list[Composition]], list[float | None]]
"""Function that acts on composed cells and returns the objective of each."""


def make_plan(compositions: list[Composition]) -> Plan:
    """Plan all compositions together; raises a StormError for what cannot work."""
    _check_shared(compositions)
    plugins = load_plugins()
    plan = Plan(Store(Path(str(compositions[0].config.store.path))))
    plan.store.check_format()
    shared: dict[Any, Any] = {}
    for composition in compositions:
        origins = read_origins(composition.hydra)
        try:
            recipe = read_recipe(composition.config, plugins, origins, shared, composition.name)
            plan.add(composition.name, recipe, origins.overrides)
        except errors.StormError as error:
            if not composition.name:
                raise
            raise errors.PlanError(f"the cell {composition.name} cannot run: {error}") from error
    plugins.hook.storm_check_plan(plan=plan)
    return plan


def check_here(plan: Plan) -> None:
    """Raise PlanError if artifacts are to be made with what this machine does not have."""
    recipe = plan.cells[0].recipe
    if not plan.to_make():
        return
    try:
        load_plugins().hook.storm_check_machine(runtime=recipe.runtime, plan=plan)
    except errors.SettingError as error:
        raise errors.PlanError(recipe.origins.locate(error, "runtime")) from error


def _check_shared(compositions: list[Composition]) -> None:
    """Raise ComposeError for invalid folders or names, and for cells with different ones."""
    first = compositions[0]
    for name in ("outputs", "store.path"):
        read_place(first.config, name, read_origins(first.hydra))
    read_run_names(first.config, read_origins(first.hydra))
    for name in ("name", "tags", "outputs", "store", "runtime"):
        for other in compositions[1:]:
            here, there = first.config.get(name), other.config.get(name)
            if here == there:
                continue
            if isinstance(here, DictConfig):
                key = next(k for k in {**here, **there} if here.get(k) != there.get(k))
                name, here, there = f"{name}.{key}", here.get(key), there.get(key)
            raise errors.ComposeError(
                f"{name} is {here} in one cell and {there} in another, and a sweep has one: run "
                f"them one after the other ({read_origins(other.hydra).of(name)})"
            )


def run(compositions: list[Composition]) -> RunRecord:
    """Make the artifacts that the recipes need and the store lacks; write and return the record.

    Raises StageError if a stage failed, after the record was written; cells of a sweep that do not
    depend on the failed stage are finished first.
    """
    plan = make_plan(compositions)
    check_here(plan)
    return carry_out(plan, compositions, Path(compositions[0].config.outputs).expanduser())


def carry_out(
    plan: Plan,
    compositions: list[Composition],
    outputs: Path,
    rehearsal: Sequence[str] = (),
    maker: Callable[..., Executor] = Executor,
) -> RunRecord:
    """Make the missing artifacts of a plan of these compositions; write the record to `outputs`.

    `rehearsal` holds lines for the record of a rehearsal. `maker` takes the arguments of Executor,
    and has its methods. Raises what `run` raises.
    """
    started = time.monotonic()
    recipe = plan.cells[0].recipe
    name, tags = read_run_names(compositions[0].config, recipe.origins)
    shown = name or (recipe.name if len(plan.cells) == 1 else f"{recipe.name}-sweep")
    if plan.to_make():
        plan.store.prepare()
    folder = new_run_folder(outputs, shown.replace("/", "-") or "run")
    recipe.runtime.limit_threads()
    configs = [composition.config for composition in compositions]
    record = RunRecord(
        directory=folder,
        name=name,
        tags=tags,
        recipe=recipe.name,
        scale=plan.scale,
        when=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        argv=["storm-exp", *sys.argv[1:]],
        environment=load_plugins().hook.storm_describe_environment() or {},
        cells=[record_cell(*cell) for cell in zip(plan.cells, configs, strict=True)],
        rehearsal=list(rehearsal),
    )
    outcomes: dict[str, MadeArtifact | BaseException] = {}
    with (
        logging_to(folder / "log.txt"),
        Signals() as signals,
        claim(plan.store, folder, list(plan.nodes)),
    ):
        if plan.to_make():
            plan.check_kept()
        plan.store.note_use(plan.nodes)
        for key, title in plan.labels().items():
            plan.nodes[key].title = title
        console.announce(plan, folder)
        executor = maker(plan.store, recipe.runtime, folder / "log.txt", signals)
        record_stages(record, plan, outcomes)
        _notify("storm_run_started", record)
        failure = _make_missing(plan, executor, outcomes, record, signals)
        record_stages(record, plan, outcomes)
        if failure is None and not compositions[0].name:
            failure = _write_out(plan, executor, record)
        if failure is None:
            record.status = "finished"
        elif isinstance(failure, errors.Interrupted):
            record.status, failure.code = "interrupted", 128 + (signals.came or signal.SIGINT)
        record.seconds = round(time.monotonic() - started, 3)
        _finish(record, outputs)
    if failure is not None:
        raise _in_brief(failure)
    return record


def _in_brief(failure: BaseException) -> BaseException:
    """Return a failure with a shorter message, as the full one was printed when it happened."""
    text = str(failure)
    if not isinstance(failure, errors.StageError) or len(text) <= _BRIEF:
        return failure
    brief = errors.StageError(f"{text[:_BRIEF].rstrip()} … (in full above, and in the report)")
    brief.__cause__ = failure
    return brief


def _make_missing(
    plan: Plan,
    executor: Executor,
    outcomes: dict[str, MadeArtifact | BaseException],
    record: RunRecord,
    signals: Signals,
) -> BaseException | None:
    """Make every missing node whose inputs exist; return the first failure or interruption."""
    failure: BaseException | None = None
    missing = plan.to_make()
    for position, node in enumerate(missing, start=1):
        if node.key in outcomes or not _inputs_are_there(node):
            continue
        console.start_stage(node, position, len(missing))
        try:
            outcomes[node.key] = made = executor.make(node)
            console.end_stage(node, made.made_here, made.seconds)
            _notify("storm_stage_finished", record, label=node.label, manifest=made.manifest)
            for refused, error in plan.learn(node):
                outcomes[refused.key] = error
                failure = failure or error
                console.say(f"  {error}")
            if signals.came:  # and the stage finished nevertheless
                raise errors.Interrupted(f"interrupted after {node.title}")
        except errors.StageError as error:
            outcomes[node.key] = error
            failure = failure or error
            console.say(f"  {error}")
        except errors.Interrupted as interruption:
            outcomes.setdefault(node.key, interruption)
            console.say(f"  {interruption}")
            return interruption
        except KeyboardInterrupt:
            return errors.Interrupted(f"interrupted after {node.title}")
    return failure


def _write_out(plan: Plan, executor: Executor, record: RunRecord) -> BaseException | None:
    """Materialise every artifact of a run of a single recipe; return an error, if any."""
    try:
        for stage in record.stages():
            if stage.is_whole:
                stage.written = str(executor.write_out(plan.nodes[stage.key]))
    except errors.StageError as error:
        return error
    except KeyboardInterrupt:
        return errors.Interrupted("interrupted while artifacts were written out")
    return None


def _inputs_are_there(node: PlannedArtifact) -> bool:
    return all(n.manifest is not None for nodes in node.inputs.values() for n in nodes)


def _finish(record: RunRecord, outputs: Path) -> None:
    """Write record, links and report; print how the run ended. Raises RunFolderError."""
    with errors.writing(record.directory):
        record.write()
    try:
        for folder, cell in zip(record.cell_folders(), record.cells, strict=True):
            link_artifacts(record.directory / folder, cell)
        point_latest(outputs, record.directory)
    except OSError as error:  # some file systems have no links, and the run is complete
        console.say(f"  cannot link to what was made: {error}")
    with errors.writing(record.directory):
        rows, table = closing_table(record, load_plugins())
        report = write_report(record, load_plugins())
        lines = closing_lines(record, load_plugins())
    console.conclude(record, rows, {"report": report, "table": table}, lines)
    _notify("storm_run_finished", record)
    if record.problems:
        with errors.writing(record.directory):
            record.write()


def _notify(event: str, record: RunRecord, **arguments: Any) -> None:
    """Call a lifecycle hook; errors of plugins are printed, recorded, and do not end the run."""
    for problem in load_plugins().notify(event, run=record, **arguments):
        console.say(f"  {problem}")
        record.problems.append(problem)


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Redirect log records and warnings of libraries from the screen to a file."""
    with errors.writing(file):
        handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
    # A full disk under the log is no reason for a run to fail.
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(logging.Formatter(line, LOG_TIME))
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

"""Records: what a run did, in `run.json`, with a link per stage to its artifact."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import platform
import secrets
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from omegaconf import DictConfig, OmegaConf

from storm_exp._contract.errors import RunFolderError, writing
from storm_exp._contract.setting_values import all_settings
from storm_exp._contract.stage_context import MEASURED
from storm_exp._plan.cells import varying_settings
from storm_exp._plan.plan import Cell
from storm_exp._plan.planned_artifact import PlannedArtifact, Status
from storm_exp._store import typed_json
from storm_exp._store.store import Store

RECORD = "run.json"


@dataclasses.dataclass(kw_only=True)
class StageRecord:
    """One artifact of a run."""

    stage: str
    element: str
    """The element of a stage that maps, else empty."""
    component: str
    artifact: str
    """Name of the artifact type."""
    key: str
    inputs: dict[str, Any]
    status: str
    """made, kept, waited (another process made it), failed, interrupted, not reached, or not
    needed."""
    settings: dict[str, Any]
    spec: dict[str, Any]
    seconds: float | None = None
    """Seconds that making it took, in this run or in the one that made it."""
    peak_memory: int | None = None
    """Bytes."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    main_metric: str = ""
    shown_metrics: list[str] = dataclasses.field(default_factory=list)
    measured_on: dict[str, str] = dataclasses.field(default_factory=dict)
    """{metric: digest of what it was measured on}, where that was said."""
    digest: str = ""
    """Digest of the payload."""
    directory: str = ""
    """Where the payload is."""
    written: str = ""
    """Where all of it is, known after a run of one recipe: elsewhere, if the payload holds less."""
    error: str = ""
    shown_as: str = ""
    """What the last lines of a run call it."""

    @property
    def label(self) -> str:
        """The name that tables show, such as `evaluator[merger]`."""
        return f"{self.stage}[{self.element}]" if self.element else self.stage

    def read(self, name: str) -> Any:
        """Return a JSON file of the payload, None when there is none."""
        file = Path(self.directory) / name if self.directory else None
        if file is None or not file.is_file():
            return None
        return json.loads(file.read_text(encoding="utf-8"))


@dataclasses.dataclass(kw_only=True)
class CellRecord:
    """One recipe of a run; a run that is no sweep has one."""

    name: str
    overrides: list[str]
    config: dict[str, Any]
    """The resolved configuration, with component names."""
    stages: list[StageRecord]
    unused_edges: list[str] = dataclasses.field(default_factory=list)

    def find(self, key: str) -> StageRecord | None:
        """Return the first stage record with this key."""
        return next((stage for stage in self.stages if stage.key == key), None)

    def of_type(self, artifact: str) -> list[StageRecord]:
        """Return the records of an artifact type whose payload exists."""
        return [s for s in self.stages if s.artifact == artifact and s.directory]


@dataclasses.dataclass(kw_only=True)
class RunRecord:
    """Everything that a report needs to know of a run."""

    directory: Path
    recipe: str
    scale: str
    when: str
    argv: list[str]
    seconds: float
    status: str
    """finished, failed, or interrupted."""
    environment: dict[str, Any]
    cells: list[CellRecord]
    rehearsal: list[str] = dataclasses.field(default_factory=list)
    """Of a rehearsal: what was not the recipe's own, and what it cannot tell; else empty."""

    @property
    def is_sweep(self) -> bool:
        """Whether several cells were planned as one."""
        return len(self.cells) > 1

    def stages(self) -> list[StageRecord]:
        """Return the artifacts of all cells, each once."""
        return list({stage.key: stage for cell in self.cells for stage in cell.stages}.values())

    def cell_settings(self) -> list[dict[str, str]]:
        """Return per cell the overrides whose value is not the same in all cells."""
        return varying_settings([cell.overrides for cell in self.cells])

    def write(self) -> Path:
        """Write `run.json` and return its path."""
        values = dataclasses.asdict(self)
        values.pop("directory")
        file = self.directory / RECORD
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(values, indent=1), encoding="utf-8")
        partial.replace(file)
        return file

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read the record of a run.

        Raises FileNotFoundError when there is none, StoreError when it is damaged.
        """
        return typed_json.read(cls, directory / RECORD, directory=directory)


def record_cell(
    cell: Cell, config: DictConfig, store: Store, outcomes: dict[str, Any]
) -> CellRecord:
    """Return the record of a cell; `outcomes` tells per key what making it came to."""
    stages = [
        _record_node(stage, element, node, store, outcomes)
        for stage, elements in cell.placed.items()
        for element, node in elements.items()
    ]
    resolved = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    assert isinstance(resolved, dict)
    for name, use in cell.recipe.stages.items():
        resolved[name] = {"component": use.component.name, **all_settings(use.settings)}
    unused = [f"{use.name}.{port}" for use in cell.recipe.stages.values() for port in use.unused]
    return CellRecord(
        name=cell.name,
        overrides=cell.overrides,
        config={str(key): value for key, value in resolved.items()},
        stages=stages,
        unused_edges=unused,
    )


def _record_node(
    stage: str, element: str, node: PlannedArtifact, store: Store, outcomes: dict[str, Any]
) -> StageRecord:
    outcome = outcomes.get(node.key)
    status = "not needed" if node.status is Status.NOT_NEEDED else "kept"
    if isinstance(outcome, BaseException):
        status = "interrupted" if isinstance(outcome, KeyboardInterrupt) else "failed"
    elif outcome is not None:
        status = "made" if outcome.made_here else "waited"
    elif node.manifest is None and node.status is Status.TO_MAKE:
        status = "not reached"
    manifest = node.manifest
    record = StageRecord(
        stage=stage,
        element=element,
        component=node.component.name,
        artifact=node.component.output.__name__,
        key=node.key,
        inputs=node.input_keys(),
        status=status,
        settings=all_settings(node.settings),
        spec=node.spec.to_json(),
        shown_as=node.component.output.shown_as,
        error=str(outcome) if isinstance(outcome, BaseException) else "",
    )
    if manifest is not None:
        record.seconds = manifest.made.get("seconds")
        record.peak_memory = manifest.made.get("peak_memory")
        for name in (*MEASURED, "spec"):
            setattr(record, name, getattr(manifest, name))
        record.digest = manifest.digest()
        record.directory = str(manifest.payload(store.place(node.key)))
    return record


def new_run_folder(outputs: Path, name: str) -> Path:
    """Create and return `outputs/runs/<when>-<name>`; a number tells runs of one second apart."""
    runs = outputs.absolute() / "runs"
    with writing(runs):
        runs.mkdir(parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%d_%H-%M-%S")
    for attempt in range(1, 10_000):
        folder = runs / (f"{when}-{name}" if attempt == 1 else f"{when}-{name}-{attempt}")
        with writing(folder), suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise RunFolderError(f"{runs}: thousands of runs in one second")


def link_artifacts(folder: Path, cell: CellRecord) -> None:
    """Link every stage of a cell to its artifact: `folder/merger`, `folder/evaluator/merger`."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in cell.stages:
        if not record.directory:
            continue
        link = folder / record.stage / record.element if record.element else folder / record.stage
        link.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(record.written or record.directory, link.parent)
        if not link.is_symlink():
            link.symlink_to(target)


def point_latest(outputs: Path, folder: Path) -> None:
    """Let `outputs/latest` point at a run."""
    draft = outputs.absolute() / f".latest-{secrets.token_hex(4)}"
    draft.symlink_to(os.path.relpath(folder, outputs.absolute()))
    draft.replace(outputs.absolute() / "latest")


@functools.cache
def describe_environment() -> dict[str, Any]:
    """Return what is recorded but not keyed: versions, machine, commit."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "distributions": installed_distributions(),
        "git": _git(),
    }


def installed_distributions() -> dict[str, str]:
    """Return {name: version} of what is installed, read off the names of metadata folders.

    importlib.metadata would parse every metadata file, which takes longer than a warm run.
    """
    found: dict[str, str] = {}
    for entry in map(Path, sys.path):
        for folder in entry.glob("*.dist-info") if entry.is_dir() else ():
            name, _, version = folder.name.removesuffix(".dist-info").partition("-")
            found.setdefault(name.lower().replace("_", "-"), version)
    return dict(sorted(found.items()))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
    )


def _git() -> dict[str, str]:
    """Return commit and uncommitted changes of the working directory, if it is a checkout."""

    def ask(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=5, check=False
        )
        return done.stdout if done.returncode == 0 else ""

    try:
        commit = ask("rev-parse", "HEAD").strip()
        return {"commit": commit, "diff": ask("diff", "HEAD")[:100_000]} if commit else {}
    except (OSError, subprocess.TimeoutExpired):
        return {}


def command_line() -> list[str]:
    """Return how this process was called, without the interpreter's path."""
    return ["storm-exp", *sys.argv[1:]]

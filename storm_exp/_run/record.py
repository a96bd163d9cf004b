"""Records: what a run did, stored in `run.json`, with a link from each stage to its artifact."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from omegaconf import DictConfig, OmegaConf

from storm_exp._contract import typed_json
from storm_exp._contract.errors import RunFolderError, writing
from storm_exp._contract.setting_values import all_settings
from storm_exp._contract.stage_context import MEASURED
from storm_exp._plan.cells import varying_settings
from storm_exp._plan.plan import Cell, Plan
from storm_exp._plan.planned_artifact import PlannedArtifact, Status
from storm_exp._store.store import Store

RECORD = "run.json"
_LONGEST_NAME = 150
"""Length of the name of a cell's folder; file systems take 255 bytes."""


@dataclasses.dataclass(kw_only=True)
class StageRecord:
    """Record of an artifact of a run."""

    stage: str
    element: str
    """Element of a stage that maps, else empty."""
    component: str
    artifact: str
    """Name of the artifact type."""
    key: str
    inputs: dict[str, Any]
    status: str
    """made, kept, waited (made elsewhere), failed, interrupted, not reached, not needed, or
    evicted: of its files, the store has small JSON files alone."""
    settings: dict[str, Any]
    spec: dict[str, Any]
    seconds: float | None = None
    """Seconds that it took to make, in this run or an earlier one."""
    peak_memory: int | None = None
    """Bytes that the process, its libraries and its programs took at most while the stage ran."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    main_metric: str = ""
    shown_metrics: list[str] = dataclasses.field(default_factory=list)
    measured_on: dict[str, str] = dataclasses.field(default_factory=dict)
    """{metric: digest of the data that it was measured on}, where known."""
    digest: str = ""
    """Digest of the files."""
    directory: str = ""
    """Directory of the files."""
    written: str = ""
    """Directory of the materialised artifact, known after a run of a single recipe."""
    error: str = ""
    warnings: list[str] = dataclasses.field(default_factory=list)
    """What its stage warned of when it was made, in this run or an earlier one."""
    shown_as: str = ""
    """Its name in the last lines of a run."""

    @property
    def label(self) -> str:
        """Name in tables, such as `evaluator[merger]`."""
        return f"{self.stage}[{self.element}]" if self.element else self.stage

    @property
    def is_whole(self) -> bool:
        """Whether all its files exist."""
        return bool(self.directory) and self.status != "evicted"

    def read(self, name: str) -> Any:
        """Return the contents of a JSON file of the artifact, None if it does not exist."""
        file = Path(self.directory, name)
        exists = bool(self.directory) and file.is_file()
        return json.loads(file.read_text(encoding="utf-8")) if exists else None


@dataclasses.dataclass(kw_only=True)
class CellRecord:
    """Record of a recipe of a run; a run that is not a sweep has one."""

    name: str
    overrides: list[str]
    config: dict[str, Any]
    """Resolved configuration, with component names."""
    stages: list[StageRecord]
    unused_edges: list[str] = dataclasses.field(default_factory=list)

    def find(self, key: str) -> StageRecord | None:
        """Return the first stage record with this key."""
        return next((stage for stage in self.stages if stage.key == key), None)

    def of_type(self, artifact: str) -> list[StageRecord]:
        """Return the records of an artifact type whose files exist."""
        return [s for s in self.stages if s.artifact == artifact and s.directory]


@dataclasses.dataclass(kw_only=True)
class RunRecord:
    """Record of a run: everything that a report needs."""

    directory: Path
    recipe: str
    scale: str
    when: str
    argv: list[str]
    seconds: float = 0.0
    status: str = "failed"
    """finished, failed, or interrupted."""
    environment: dict[str, Any]
    cells: list[CellRecord]
    name: str = ""
    """Given by the user, as `name=`."""
    tags: list[str] = dataclasses.field(default_factory=list)
    rehearsal: list[str] = dataclasses.field(default_factory=list)
    """For a rehearsal: what was replaced, and what it cannot tell; else empty."""
    problems: list[str] = dataclasses.field(default_factory=list)
    """What failed beside the stages, such as a tracker; no run ends for it."""

    @property
    def is_sweep(self) -> bool:
        """Whether the run has several cells."""
        return len(self.cells) > 1

    def stages(self) -> list[StageRecord]:
        """Return the artifacts of all cells, without duplicates."""
        return list({stage.key: stage for cell in self.cells for stage in cell.stages}.values())

    def warnings(self) -> list[str]:
        """Return what the stages of all cells warned of, without duplicates."""
        texts = (f"{stage.label}: {text}" for stage in self.stages() for text in stage.warnings)
        return list(dict.fromkeys(texts))

    def cell_settings(self) -> list[dict[str, str]]:
        """Return for each cell the overrides with different values across cells."""
        return varying_settings([cell.overrides for cell in self.cells])

    def cell_folders(self) -> list[str]:
        """Return for each cell the folder with its links, relative to that of the run.

        In a sweep it is named by the settings that differ, as in `cells/merger.t=0.3`.
        """
        if not self.is_sweep:
            return [""]
        names = [
            re.sub(r"[^\w.,=+-]+", "-", ",".join(f"{k}={v}" for k, v in settings.items() if v))
            for settings in self.cell_settings()
        ]
        plain = len(set(names)) == len(names) and max(map(len, names)) <= _LONGEST_NAME
        return [
            f"cells/{name}" if plain and name else f"cells/{number},{name[:_LONGEST_NAME]}"
            for number, name in enumerate(names)
        ]

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

        Raises RunFolderError if there is none, and StoreError if it is damaged.
        """
        if not (directory / RECORD).is_file():
            raise RunFolderError(f"{directory} holds no {RECORD}: give the folder of a run")
        return typed_json.read(cls, directory / RECORD, directory=directory)


def record_cell(cell: Cell, config: DictConfig) -> CellRecord:
    """Return the record of a cell, without its stages."""
    resolved = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    assert isinstance(resolved, dict)
    for name, use in cell.recipe.stages.items():
        resolved[name] = {"component": use.component.name, **all_settings(use.settings)}
    unused = [f"{use.name}.{port}" for use in cell.recipe.stages.values() for port in use.unused]
    return CellRecord(
        name=cell.name,
        overrides=cell.overrides,
        config={str(key): value for key, value in resolved.items()},
        stages=[],
        unused_edges=unused,
    )


def record_stages(record: RunRecord, plan: Plan, outcomes: dict[str, Any]) -> None:
    """Record the stages of all cells; `outcomes` holds the result or error of making each key."""
    for cell, planned in zip(record.cells, plan.cells, strict=True):
        cell.stages = [
            _record_node(stage, element, node, plan.store, outcomes)
            for stage, elements in planned.placed.items()
            for element, node in elements.items()
        ]


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
    if manifest is None and node.status is Status.NOT_NEEDED and node.evicted is not None:
        status, manifest = "evicted", node.evicted
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
        record.warnings = manifest.made.get("warnings", [])
        for name in (*MEASURED, "spec"):
            setattr(record, name, getattr(manifest, name))
        record.digest = manifest.digest()
        record.directory = str(manifest.payload(store.place(node.key)))
    return record


def new_run_folder(outputs: Path, name: str) -> Path:
    """Create and return `outputs/runs/<when>-<name>`, numbered if several have the same time."""
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
    """Link the stages of a cell to their artifacts: `folder/merger`, `folder/evaluator/merger`."""
    folder.mkdir(parents=True, exist_ok=True)
    for record in cell.stages:
        if not record.is_whole:
            continue
        link = folder / record.stage / record.element if record.element else folder / record.stage
        link.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(record.written or record.directory, link.parent)
        if not link.is_symlink():
            link.symlink_to(target)


def point_latest(outputs: Path, folder: Path) -> None:
    """Make `outputs/latest` a link to a run."""
    draft = outputs.absolute() / f".latest-{secrets.token_hex(4)}"
    draft.symlink_to(os.path.relpath(folder, outputs.absolute()))
    draft.replace(outputs.absolute() / "latest")

"""What is to be reproduced: the recorded steps of a run, a model card or a lock file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from storm_exp import Manifest
from storm_exp.report import CellRecord, RunRecord, StageRecord


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """A recorded artifact."""

    label: str
    """Its stage, with the element that it maps over."""
    component: str
    artifact: str
    """Name of the artifact type."""
    key: str
    inputs: dict[str, Any]
    """Keys per port: a key, or a list of keys."""
    digest: str
    """Digest of the files; empty where none were made."""
    metrics: dict[str, float]
    directory: Path | None = None
    """Where the files were, as far as it is known."""
    version: int | None = None
    """Version of the component, None where nobody recorded it."""
    settings: dict[str, Any] | None = None
    """Settings that its key covers, None where nobody recorded them."""
    fingerprint: Any = None
    """What it read from outside the store, None where nobody recorded it."""
    source: str = ""
    """Digest of the component's source, empty where nobody recorded it."""

    @classmethod
    def of(cls, stage: StageRecord, store: Path) -> Step:
        """Return the step of a stage of a run, with what the run's store still says of it."""
        manifest = Manifest.read(store / "artifacts" / stage.key[:2] / stage.key)
        directory = Path(stage.directory) if stage.directory else None
        if manifest is not None:
            return cls.of_manifest(stage.label, manifest, directory)
        return cls(
            label=stage.label,
            component=stage.component,
            artifact=stage.artifact,
            key=stage.key,
            inputs=stage.inputs,
            digest=stage.digest,
            metrics=stage.metrics,
            directory=directory,
        )

    @classmethod
    def of_manifest(cls, label: str, manifest: Manifest, directory: Path | None) -> Step:
        """Return the step of an artifact of a store."""
        return cls(
            label=label,
            component=manifest.component,
            artifact=manifest.artifact,
            key=manifest.key,
            inputs=manifest.inputs,
            digest=manifest.digest(),
            metrics=manifest.metrics,
            directory=directory,
            version=manifest.version,
            settings=manifest.settings,
            fingerprint=manifest.fingerprint,
            source=str(manifest.made.get("source", "")),
        )

    def input_keys(self) -> list[str]:
        """Return the keys of its inputs."""
        given = self.inputs.values()
        return [key for each in given for key in ([each] if isinstance(each, str) else each)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Original:
    """Something that is to be reproduced."""

    name: str
    """How it is called in messages and folders."""
    recipes: list[dict[str, Any]]
    """The contents of a recipe's file for each cell; a run that is no sweep has one."""
    cells: list[list[Step]]
    """The recorded steps of each cell, inputs first."""
    environment: dict[str, Any]
    """Machine and versions, as runs record them; empty where nobody recorded them."""
    notes: list[str] = dataclasses.field(default_factory=list)
    """What is to be known of it beside."""
    lacking: list[str] = dataclasses.field(default_factory=list)
    """Lines on stages that cannot be made here, as no plugin brings their components; then there
    are no recipes."""


def store_of(record: RunRecord, cell: CellRecord) -> Path:
    """Return the store of a run: where an artifact of it lies, else what its settings say."""
    for stage in cell.stages:
        place = Path(stage.directory)
        if place.name == stage.key:
            return place.parents[2]
    path = Path(str(cell.config["store"]["path"])).expanduser()
    return path if path.is_absolute() else record.directory.parents[2] / path

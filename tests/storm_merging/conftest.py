"""Three siblings to merge, and a store by hand: artifacts published without a recipe."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from storm_exp import Runtime, StageContext, value_digest
from storm_exp._store.artifact_maker import Maker
from storm_exp._store.manifest import Manifest
from storm_exp._store.store import Store
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


def at_distance(tensor: torch.Tensor, distance: float) -> torch.Tensor:
    """Return a bfloat16 tensor whose difference to `tensor` is orthogonal to it.

    `distance` is the difference's length relative to the tensor's.
    """
    generator = torch.Generator().manual_seed(1)
    flat = tensor.double().flatten()
    noise = torch.randn(flat.shape, generator=generator, dtype=torch.float64)
    noise -= noise @ flat / (flat @ flat) * flat
    moved = flat + distance * flat.norm() * noise / noise.norm()
    return moved.reshape(tensor.shape).to(torch.bfloat16)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Checkpoint]:
    """Three llamas; the second lies on both sides of the colinear boundary to the first.

    |cos| = 0.9995 is a distance of 0.0316.
    """
    folder = tmp_path_factory.mktemp("models")
    made = [make_checkpoint(folder / name, seed=seed) for seed, name in enumerate("abc")]
    first, second = (load_file(made[i].directory / "model.safetensors") for i in (0, 1))
    distances = {"gate_proj": 0.031, "up_proj": 0.0325, "down_proj": 0.001}
    for part, distance in distances.items():
        name = f"model.layers.0.mlp.{part}.weight"
        second[name] = at_distance(first[name], distance)
    save_file(second, made[1].directory / "model.safetensors", metadata={"format": "pt"})
    return made


@dataclasses.dataclass
class Kept:
    """A store, and what a test puts there as a run would."""

    store: Store
    folder: Path

    @property
    def maker(self) -> Maker:
        """What fills the store."""
        return Maker(self.store, Runtime(device="cpu", threads=1))

    def stage(self, name: str) -> StageContext:
        """Return a stage beside the store, which keeps its memos there."""
        stage = make_stage(self.folder, name)
        stage.keep_memo = self.maker.memo
        return stage

    def make(self, name: str, fill: Callable[[StageContext], Any]) -> Checkpoint:
        """Publish what `fill` does with a stage; return it as an input of the next stage."""
        key = value_digest(name)

        def run(stage: StageContext) -> Manifest:
            fill(stage)
            return Manifest(
                key=key,
                component=name,
                version=1,
                artifact="Checkpoint",
                settings={},
                inputs={},
                fingerprint=None,
                spec={},
                metrics=stage.metrics,
                main_metric=stage.main_metric,
                files={},
                references=stage.references,
                memos=stage.memos,
                adopted=stage.adopted,
            )

        made = self.maker.make(key, name, "Checkpoint", dict, run)
        return Checkpoint(made.manifest.payload(self.store.place(key)), key)

    def materialise(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return a checkpoint with its weights in files."""
        return checkpoint.materialise(self.stage(f"reader-{threading.get_ident()}"))

    def adopt(self, checkpoint: Checkpoint) -> Checkpoint:
        """Take a checkpoint where it lies, as the component `path` does."""
        place = checkpoint.directory
        return self.make(str(place), lambda stage: stage.adopt(place, checkpoint.files()))

    def copy(self, checkpoint: Checkpoint) -> Checkpoint:
        """Put a checkpoint's files into the store."""

        def fill(stage: StageContext) -> None:
            shutil.copytree(checkpoint.directory, stage.directory, dirs_exist_ok=True)

        return self.make(f"copy of {checkpoint.directory}", fill)

    def merge(self, merger: Any, *inputs: Any) -> Checkpoint:
        """Run a merger on what the store holds."""
        name = f"{merger} {inputs}"
        return self.make(name, lambda stage: merger.run(stage, *inputs))

    def components(self) -> list[str]:
        """Return the component of everything in the store, ordered by name."""
        return sorted(manifest.component for manifest in self.store.manifests())


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """An empty store."""
    return Kept(Store(tmp_path / "store"), tmp_path)

import dataclasses
import itertools
import json
from pathlib import Path

from storm_exp import Artifact, InputError, Spec, StageContext, component, setting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec


class Drift(Artifact):
    """How far each tensor moved: `drift.json`, {tensor: |model - origin| / |origin|}."""

    def read(self) -> dict[str, float]:
        return json.loads((self.directory / "drift.json").read_text(encoding="utf-8"))


@component("drift", "relative_distance", version=1)
class RelativeDistance:
    """The relative distance of every tensor of a model to that of its origin."""

    most: int | None = setting(None, at_least=1, unit="tensors")
    """How many to measure, the first ones; null: all."""

    def plan_spec(self, model: CheckpointSpec, origin: CheckpointSpec) -> Spec:
        if model.shapes and origin.shapes and model.shapes != origin.shapes:
            raise InputError("model and origin differ in the names or shapes of their tensors")
        return Spec()

    def rehearsal(self) -> "RelativeDistance":
        return dataclasses.replace(self, most=min(self.most or 8, 8))

    def run(self, stage: StageContext, model: Checkpoint, origin: Checkpoint) -> Drift:
        def measure(folder: Path) -> None:
            norms = {name: float(tensor.double().norm()) for name, tensor in origin.tensors()}
            (folder / "norms.json").write_text(json.dumps(norms))

        # The same for every model that is compared to this origin: measured once.
        norms = json.loads(
            (stage.memo("norms", 1, {"of": origin}, measure) / "norms.json").read_text()
        )
        found = {}
        for name, tensor in itertools.islice(origin.tensors(), self.most):
            moved = model.tensor(name).double() - tensor.double()
            found[name] = float(moved.norm()) / max(norms[name], 1e-12)
        (stage.directory / "drift.json").write_text(json.dumps(found, indent=1))
        stage.metric("largest drift", max(found.values()), main=True)
        return Drift(stage.directory)

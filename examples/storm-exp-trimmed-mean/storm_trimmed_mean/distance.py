import dataclasses
import itertools
import json

from storm_exp import Artifact, StageContext, component
from storm_models.checkpoint.checkpoint import Checkpoint


class Drift(Artifact):
    """How far each tensor moved: `drift.json`, {tensor: |model - origin| / |origin|}."""


@component("drift", "relative_distance", version=1)
class RelativeDistance:
    """The relative distance of every tensor of a model to that of its origin."""

    most: int | None = None
    """Tensors to measure, the first ones; none: all."""

    def rehearsal(self) -> "RelativeDistance":
        return dataclasses.replace(self, most=min(self.most or 8, 8))

    def run(self, stage: StageContext, model: Checkpoint, origin: Checkpoint) -> Drift:
        found = {}
        for name, tensor in itertools.islice(origin.tensors(), self.most):
            moved = model.tensor(name).double() - tensor.double()
            found[name] = float(moved.norm() / tensor.double().norm().clamp_min(1e-12))
        (stage.directory / "drift.json").write_text(json.dumps(found, indent=1))
        stage.metric("largest drift", max(found.values()), main=True)
        return Drift(stage.directory)

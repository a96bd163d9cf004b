"""How a model was made: its lineage, and the metadata that the hub derives from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from storm_exp import Artifact, Manifest, lineage
from storm_inference.targets.target import is_artifact

_SPEED = "_per_second"
"""The end of the names of metrics that no two runs have alike."""
ADOPTED = "path"
"""The port of the artifact whose files a model adopted, as a step's inputs are shown."""


@dataclasses.dataclass(frozen=True)
class History:
    """The steps that made a model, inputs first; empty for a model outside any store."""

    steps: Sequence[Manifest]

    @classmethod
    def of(cls, model: Artifact) -> History:
        """Read the lineage of a model from its store.

        A model that was adopted from a folder has the lineage of the artifact that its weights
        belong to, where they are in a store.
        """
        steps: dict[str, Manifest] = {}
        for step in lineage(model):
            place = model.directory.parents[1] / step.key[:2] / step.key
            if origin := _origin(place, step):
                steps |= {each.key: each for each in cls.of(origin).steps}
                step = dataclasses.replace(step, inputs={ADOPTED: origin.key})
            steps[step.key] = step
        return cls(list(steps.values()))

    def base_models(self) -> list[str]:
        """Return the repositories of the hub that models were downloaded from."""
        return self._repositories(models=True)

    def datasets(self) -> list[str]:
        """Return the repositories of the hub that data were downloaded from."""
        return self._repositories(models=False)

    def relation(self) -> str:
        """Return the hub's `base_model_relation`: merge, quantized, finetune or empty."""
        if not self.steps or not self.base_models():
            return ""
        by_key = {step.key: step for step in self.steps}
        last = self.steps[-1]
        while (origin := by_key.get(last.inputs.get(ADOPTED, ""))) is not None:
            last = origin
        if len(self._parents(last)) > 1:
            return "merge"
        if (last.spec.get("config") or {}).get("quantization_config"):
            return "quantized"
        return "finetune" if self._parents(last) else ""

    def trained(self) -> list[Manifest]:
        """Return the steps in which weights were trained."""
        return [step for step in self.steps if "trainable" in step.settings]

    def sources(self) -> list[Manifest]:
        """Return the steps without inputs: models and data from outside the store."""
        return [step for step in self.steps if not step.inputs]

    def unrecorded(self) -> list[Manifest]:
        """Return the models among the sources that were adopted from a folder outside a store."""
        adopted = [step for step in self.sources() if step.adopted_mtimes]
        return [s for s in adopted if s.artifact == "Checkpoint" and not s.settings.get("repo")]

    def lock(self) -> list[dict[str, Any]]:
        """Return the steps as JSON: component, settings, inputs, digest and metrics of each.

        Absolute paths are cut down to their last part; how fast a step was is left out, so that a
        step that is made again comes to the same.
        """
        return [
            {
                "key": step.key,
                "component": step.component,
                "version": step.version,
                "artifact": step.artifact,
                "settings": without_folders(step.settings),
                "inputs": step.inputs,
                "digest": step.digest(),
                "metrics": {
                    name: value for name, value in step.metrics.items() if not name.endswith(_SPEED)
                },
            }
            for step in self.steps
        ]

    def _repositories(self, models: bool) -> list[str]:
        repositories = [
            str(step.settings["repo"])
            for step in self.steps
            if step.settings.get("repo") and (step.artifact == "Checkpoint") == models
        ]
        return list(dict.fromkeys(repositories))

    def _parents(self, step: Manifest) -> list[str]:
        """Return the keys of the checkpoints among a step's inputs."""
        kinds = {each.key: each.artifact for each in self.steps}
        return [key for key in input_keys(step) if kinds.get(key) == "Checkpoint"]


def _origin(place: Path, step: Manifest) -> Artifact | None:
    """Return the artifact that the files adopted by a step belong to; that of a memo's input.

    None if they are outside a store, or if its manifest is gone.
    """
    for name in step.adopted_mtimes:
        home = (step.payload(place) / name).resolve().parent
        manifest = Manifest.read(home) if is_artifact(home) and home != place.resolve() else None
        while manifest is not None and manifest.artifact == "memo":  # the weights of a sum
            (key,) = input_keys(manifest)
            home = home.parents[1] / key[:2] / key
            manifest = Manifest.read(home)
        if manifest is not None:
            return Artifact(home, manifest.key)
    return None


def input_keys(step: Manifest) -> list[str]:
    """Return the keys of a step's inputs."""
    given = step.inputs.values()
    return [key for each in given for key in ([each] if isinstance(each, str) else each)]


def without_folders(value: Any) -> Any:
    """Return settings with absolute paths cut down to the file's or folder's name."""
    if isinstance(value, dict):
        return {name: without_folders(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    if isinstance(value, str) and (value.startswith("~") or PurePath(value).is_absolute()):
        return PurePath(value).name
    return value

"""How a model was made: its lineage, and what the hub wants to know of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from storm_exp import Artifact, Manifest, lineage


@dataclasses.dataclass(frozen=True)
class History:
    """The steps that led to a model, inputs first; none for a model outside any store."""

    steps: Sequence[Manifest]

    @classmethod
    def of(cls, model: Artifact) -> History:
        """Read the lineage of a model from its store."""
        return cls(lineage(model))

    def base_models(self) -> list[str]:
        """Return the repositories of the hub that models came from."""
        return self._repositories(models=True)

    def datasets(self) -> list[str]:
        """Return the repositories of the hub that data came from."""
        return self._repositories(models=False)

    def relation(self) -> str:
        """Return how the model stands to its base models, in the hub's words."""
        if not self.steps or not self.base_models():
            return ""
        last = self.steps[-1]
        if len(self._parents(last)) > 1:
            return "merge"
        if (last.spec.get("config") or {}).get("quantization_config"):
            return "quantized"
        return "finetune" if self._parents(last) else ""

    def trained(self) -> list[Manifest]:
        """Return the steps in which weights were trained."""
        return [step for step in self.steps if "trainable" in step.settings]

    def sources(self) -> list[Manifest]:
        """Return the steps that nothing of the store went into: models and data from outside."""
        return [step for step in self.steps if not step.inputs]

    def lock(self) -> list[dict[str, Any]]:
        """Return the steps as JSON: what each was made of, with which settings, and its digest.

        Folders of the machine are left out of paths.
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
                "metrics": step.metrics,
            }
            for step in self.steps
        ]

    def _repositories(self, models: bool) -> list[str]:
        found = [
            str(step.settings["repo"])
            for step in self.steps
            if step.settings.get("repo") and (step.artifact == "Checkpoint") == models
        ]
        return list(dict.fromkeys(found))

    def _parents(self, step: Manifest) -> list[str]:
        """Return the keys of the checkpoints that a step was made of."""
        kinds = {each.key: each.artifact for each in self.steps}
        return [key for key in input_keys(step) if kinds.get(key) == "Checkpoint"]


def input_keys(step: Manifest) -> list[str]:
    """Return the keys of all that a step was made of."""
    given = step.inputs.values()
    return [key for each in given for key in ([each] if isinstance(each, str) else each)]


def without_folders(value: Any) -> Any:
    """Return settings with absolute paths cut down to the name of the file or folder."""
    if isinstance(value, dict):
        return {name: without_folders(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_folders(each) for each in value]
    if isinstance(value, str) and (value.startswith("~") or PurePath(value).is_absolute()):
        return PurePath(value).name
    return value

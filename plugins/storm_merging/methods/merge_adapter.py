"""The component `merge_adapter`: a checkpoint with a low-rank adapter merged into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import (
    Cost,
    FileDigests,
    InputError,
    SettingError,
    StageContext,
    component,
    did_you_mean,
    setting,
)
from storm_merging.adapters.low_rank_adapter import CONFIG, WEIGHTS, LowRankAdapter
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.architecture import is_quantised, tensor_shapes
from storm_models.folder.existing_path import existing_path
from storm_models.sources.repository import cached_snapshot, fetch, resolve_commit

if TYPE_CHECKING:
    import torch


@component("merger", "merge_adapter", version=1)
class MergeAdapter:
    """A model plus the changes of a LoRA adapter (Hu et al. 2021, arXiv 2106.09685).

    Each matrix is computed in fp32 and rounded once to the model's dtype. Config, tokenizer and
    chat template are the model's.
    """

    path: str = setting("", semantic=False)
    """The adapter's folder, in peft's layout. The contents of its files enter the key."""

    repo: str = ""
    """The adapter's repository on the hub, `owner/name`, instead of `path`."""

    revision: str = "main"
    """A branch, a tag or a commit of the repository."""

    def __post_init__(self) -> None:
        if self.path and self.repo:
            raise SettingError("repo", self.repo, "path is set as well; give one of the two")

    def fingerprint(self, files: FileDigests) -> dict[str, str]:
        """Return the digests of the adapter's files, or its commit."""
        if self.repo:
            commit = resolve_commit(self.repo, self.revision)
            return {"commit": commit} if commit else {"revision": self.revision}
        directory = existing_path("path", self.path)
        LowRankAdapter(directory)
        return {name: files.digest(directory / name) for name in (CONFIG, WEIGHTS)}

    def fetches(self) -> list[str]:
        """Return what has to be downloaded before this can run."""
        if self._directory() is not None:
            return []
        return [f"adapter {self.repo} at {self.revision}"]

    def notes(self) -> list[str]:
        """Return the name of the model that the adapter says it is for, which nothing checks."""
        directory = self._directory()
        made_for = LowRankAdapter(directory).made_for if directory is not None else None
        return [f"the adapter says that it is for {made_for}"] if made_for else []

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the model's spec; raises InputError for an adapter that does not fit."""
        if is_quantised(model.config):
            raise InputError("the model is quantised: merge the adapter first, compress the result")
        directory = self._directory()
        shapes = tensor_shapes(model.config) if model.config else None
        if directory is not None and shapes is not None:
            _check(LowRankAdapter(directory), shapes)
        return model

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def run(self, stage: StageContext, model: Checkpoint) -> Checkpoint:
        """Write the merged weights, one tensor at a time."""
        from storm_models.checkpoint.surgery import write_surgery

        directory = self._directory() or fetch(self.repo, self.revision, [CONFIG, WEIGHTS])
        adapter = LowRankAdapter(directory)
        headers = model.headers()
        _check(adapter, {name: shape for name, (_, shape) in headers.items()})
        config = model.config()
        names = tensor_shapes(config)
        if names is None:
            family = config.get("model_type")
            raise InputError(f"adapters cannot be merged into the family {family!r} here")
        with adapter.open() as reader:

            def change(name: str, tensor: torch.Tensor) -> torch.Tensor:
                return adapter.apply(reader, name, tensor)

            merged = write_surgery(stage, model, config, {name: name for name in names}, change)
        stage.metric("matrices", len(adapter.shapes()), main=True)
        return merged

    def _directory(self) -> Path | None:
        """Return the adapter's folder, None for a repository that is not fetched."""
        if not self.repo:
            return existing_path("path", self.path)
        snapshot = cached_snapshot(self.repo, self.revision)
        complete = snapshot and all((snapshot / name).is_file() for name in (CONFIG, WEIGHTS))
        return snapshot if complete else None


def _check(adapter: LowRankAdapter, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise InputError for a matrix that the model lacks or that has another shape."""
    for name, shape in adapter.shapes().items():
        if name not in shapes:
            raise InputError(
                f"{adapter.directory}: the model has no {name}{did_you_mean(name, shapes)}"
            )
        if shapes[name] != shape:
            raise InputError(
                f"{adapter.directory}: changes a {name} of {list(shape)}, the model's is "
                f"{list(shapes[name])}"
            )

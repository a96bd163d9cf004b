"""What a merge by slices is asked for: method, layers, parameters and tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from storm_exp import InputError
from storm_merging.layers.merged_config import (
    check_alike,
    layer_counts,
    layer_origins,
    merged_config,
)
from storm_merging.layers.output_tensor import OutputTensor, output_tensors
from storm_merging.layers.slices import SliceOfLayers
from storm_merging.vocabulary.row_sources import VocabularyMatrix
from storm_merging.vocabulary.settings import VocabularySettings
from storm_models.dtype import Dtype
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_models.families.model_config import ModelConfig, by_name, with_values


@dataclasses.dataclass(frozen=True)
class MergeRequest:
    """A merge of slices of layers."""

    method: str
    """mergekit's name of the method."""
    slices: list[SliceOfLayers]
    main: int
    """The place of the model whose config and tokenizer are the merge's."""
    parameters: dict[str, Any]
    vocabulary: VocabularySettings
    chat_template: str
    dtype: Dtype | None
    seed: int

    @property
    def merged(self) -> list[int]:
        """The places of the models that are merged, once each."""
        return list(dict.fromkeys(source.model for each in self.slices for source in each.sources))

    @property
    def used(self) -> list[int]:
        """The places of the models whose weights or config are used, the main one first."""
        return list(dict.fromkeys([self.main, *self.merged]))

    @property
    def whole(self) -> bool:
        """Whether whole models are merged."""
        return len(self.slices) == 1 and all(
            source.start == 0 and source.end is None for source in self.slices[0].sources
        )

    def matrices(self) -> list[VocabularyMatrix]:
        """Return embedding and head with their sources: those of the first slice, and the last."""
        return [
            VocabularyMatrix(name, tuple(source.model for source in piece.sources), piece.base)
            for name, piece in ((EMBEDDING, self.slices[0]), (HEAD, self.slices[-1]))
        ]

    def config(self, configs: Sequence[ModelConfig]) -> ModelConfig:
        """Return the config of a merge of models with these; raises InputError."""
        depths = layer_counts(configs)
        check_alike(configs, self.slices, depths)
        config = merged_config(configs, self.main, layer_origins(self.slices, depths))
        if self.dtype is None:
            return config
        stated = by_name(config)
        key = "torch_dtype" if "torch_dtype" in stated and "dtype" not in stated else "dtype"
        return with_values(config, **{key: self.dtype.value})

    def tensors(
        self, configs: Sequence[ModelConfig], names: Sequence[Collection[str]]
    ) -> list[OutputTensor]:
        """Return the tensors of a merge of models with these configs and tensors' names."""
        depths = layer_counts(configs)
        return output_tensors(self.method, self.slices, self.parameters, names, depths)


def check_shapes(
    tensors: Sequence[OutputTensor], shapes: Sequence[dict[str, tuple[int, ...]]]
) -> None:
    """Raise InputError for sources of a tensor that have different shapes."""
    for tensor in tensors:
        found = {shapes[model][name]: (model, name) for model, name in tensor.sources}
        if len(found) > 1:
            told = ", ".join(
                f"{list(shape)} in model {model + 1}" for shape, (model, _) in found.items()
            )
            raise InputError(f"{tensor.name} has the shape {told}")

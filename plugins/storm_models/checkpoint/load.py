"""Loading a checkpoint as a model of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, PreTrainedModel

from storm_exp import InputError
from storm_models.checkpoint.weights import Weights, read_tensor
from storm_models.families.kv_cache import keep_kv_cache
from storm_models.families.model_config import ModelConfig
from storm_models.families.rotary import separate_documents
from storm_models.folder.pretrained import read_config, read_generation, read_network
from storm_models.folder.tensor_file import DTYPES
from storm_models.quiet import quiet


def load_model(
    directory: Path, config: ModelConfig, dtype: str, device: str, weights: Weights | None = None
) -> PreTrainedModel:
    """Return the model of a checkpoint's folder, in evaluation mode, in `dtype` (auto: as stored).

    `config` is its config.json. The weights are read from its files, or one by one from `weights`
    if given. A compressed model is decompressed. Rotary positions that depend on length follow each
    document's own length, and generation keeps the whole key-value cache. Raises InputError for
    missing weights: transformers would initialise them at random.
    """
    options: dict[str, Any] = {
        "dtype": "auto" if dtype == "auto" else getattr(torch, dtype),
        "output_loading_info": True,
    }
    if config.get("attn_logit_softcapping"):  # which transformers' sdpa leaves out without a word
        options["attn_implementation"] = "eager"
    method = (config.get("quantization_config") or {}).get("quant_method")
    with quiet():
        if method == "compressed-tensors":  # otherwise it is unpacked in the first forward
            options["quantization_config"] = CompressedTensorsConfig(run_compressed=False)
        if weights is None:
            model, info = read_network(directory, **options)
        else:
            model, info = _load_weights(directory, weights, options)
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(f"{directory}: the weights lack {', '.join(missing[:3])}")
    separate_documents(model)
    keep_kv_cache(model)
    loaded: PreTrainedModel = model.to(device).eval()
    return loaded


def _load_weights(directory: Path, weights: Weights, options: dict[str, Any]) -> Any:
    """Return (model, loading info) as transformers does for files with the same weights."""
    config = read_config(directory)
    with torch.device("meta"):
        kind = type(AutoModelForCausalLM.from_config(config))
    if options["dtype"] == "auto" and config.dtype is None:
        options = {**options, "dtype": _first_dtype(weights)}
    model, info = read_network(
        directory,
        kind,
        config=config,
        generation_config=read_generation(directory),
        state_dict={name: _Deferred(weights, name) for name in weights.headers},
        **options,
    )
    model.config.name_or_path = model.name_or_path = str(directory)
    return model, info


def _first_dtype(weights: Weights) -> torch.dtype:
    """Return the dtype that transformers takes from files whose config names none."""
    return DTYPES[weights.headers[min(weights.headers)][0]]


class _Deferred:
    """A tensor that is computed when transformers reads it."""

    def __init__(self, weights: Weights, name: str) -> None:
        self._weights, self._name = weights, name

    def __getitem__(self, everything: Any) -> torch.Tensor:
        return read_tensor(self._weights, self._name)

    def get_dtype(self) -> str:
        return self._weights.headers[self._name][0]

    def get_shape(self) -> list[int]:
        return list(self._weights.headers[self._name][1])

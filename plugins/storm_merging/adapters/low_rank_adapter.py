"""A low-rank adapter (LoRA) in a folder, as peft saves it."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_models.folder.header import read_header
from storm_models.folder.json_file import read_json

if TYPE_CHECKING:
    import torch

    from storm_models.folder.tensor_file import TensorReader

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_FACTOR = re.compile(r"base_model\.model\.(.+)\.lora_([AB])(?:\.default)?\.weight")
_REFUSED = ("use_dora", "fan_in_fan_out", "modules_to_save", "lora_bias", "trainable_token_indices")
"""Settings with which the sum of weight and product is not what the adapter computes."""


class LowRankAdapter:
    """W + scale · B·A for the matrices that the adapter has factors of (Hu et al. 2021).

    `scale` is alpha / r, with `use_rslora` alpha / √r; both may differ by module.
    """

    def __init__(self, directory: Path) -> None:
        """Read config and header; raises InputError for an adapter that is not plain LoRA."""
        self.directory = directory
        for name in (CONFIG, WEIGHTS):
            if not (directory / name).is_file():
                raise InputError(f"{directory}: no adapter, which has a file {name}")
        self._config = read_json(directory / CONFIG)
        kind = self._config.get("peft_type")
        if kind != "LORA":
            raise InputError(f"{directory}: peft_type is {kind}; only LORA can be merged")
        for name in _REFUSED:
            if self._config.get(name):
                problem = f"{CONFIG}: {name} is {self._config[name]}"
                raise InputError(f"{directory}: {problem}; only plain LoRA can be merged")
        self._factors: dict[str, dict[str, tuple[str, tuple[int, ...]]]] = {}
        for name, entry in read_header(directory / WEIGHTS).items():
            match = _FACTOR.fullmatch(name)
            if match is None or len(entry["shape"]) != 2:
                raise InputError(f"{directory}: {name} is no factor of a matrix")
            self._factors.setdefault(match[1], {})[match[2]] = (name, tuple(entry["shape"]))
        for module, factors in self._factors.items():
            if factors.keys() != {"A", "B"} or factors["A"][1][0] != factors["B"][1][1]:
                raise InputError(f"{directory}: {module} lacks a factor, or the two do not fit")

    @property
    def made_for(self) -> str | None:
        """The name of the model that it was trained on, as its config states it."""
        return self._config.get("base_model_name_or_path") or None

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Return {name of a matrix of the model: the shape that it must have}."""
        return {
            f"{module}.weight": (factors["B"][1][0], factors["A"][1][1])
            for module, factors in self._factors.items()
        }

    @contextlib.contextmanager
    def open(self) -> Iterator[TensorReader]:
        """Open the file of factors."""
        from storm_models.folder.tensor_file import TensorReader

        with TensorReader(self.directory / WEIGHTS) as reader:
            yield reader

    def apply(self, reader: TensorReader, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return the matrix `name` with its change, in fp32; another tensor as it is."""
        module = name.removesuffix(".weight")
        if module not in self._factors:
            return weight
        first, second = (reader.tensor(self._factors[module][part][0]) for part in "AB")
        change = second.float() @ first.float()
        return weight.float() + self._scale(module) * change

    def _scale(self, module: str) -> float:
        rank = self._factors[module]["A"][1][0]
        alpha = float(
            self._of_module("alpha_pattern", module, self._config.get("lora_alpha", rank))
        )
        return alpha / (math.sqrt(rank) if self._config.get("use_rslora") else rank)

    def _of_module(self, patterns: str, module: str, default: Any) -> Any:
        """Return the value of the pattern that matches the end of a module's name, as in peft."""
        for pattern, value in (self._config.get(patterns) or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        return default

"""Running llm-compressor without its log messages and files in the working directory."""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_exp import InputError, SettingError, did_you_mean
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.weights import read_tensor
from storm_models.quiet import quiet

if TYPE_CHECKING:
    import torch
    from torch.utils.data import DataLoader


def compress(
    model: Checkpoint,
    directory: Path,
    scheme: str,
    ignore: list[str],
    advance: Callable[[], None],
    rows: Sequence[list[int]] = (),
    device: str = "cpu",
) -> None:
    """Quantise the linear layers of a checkpoint by a scheme, and write `directory`.

    `rows` holds token ids, which the model reads on `device`, for schemes with fixed scales of
    activations. Files other than weights and config are copied from the model. `advance` is called
    after loading, for each row, and after quantising and saving. Raises SettingError for an entry
    of `ignore` that matches no module.
    """
    with quiet():
        os.environ.setdefault("LLM_COMPRESSOR_LOG_DISABLED", "true")
        from llmcompressor import oneshot
        from llmcompressor.modifiers.quantization import QuantizationModifier
        from transformers import GenerationConfig

        network = model.load(device=device)
        _check_ignored(network, ignore)
        advance()
        recipe = QuantizationModifier(targets="Linear", scheme=scheme, ignore=ignore)
        calibration: dict[str, Any] = {}
        if rows:  # the pipeline that llm-compressor would choose reads them layer by layer
            calibration = {"dataset": _loader(rows, advance), "pipeline": "basic"}
        oneshot(model=network, recipe=recipe, trust_remote_code_model=False, **calibration)
        advance()
        network.generation_config = GenerationConfig()  # the file is copied, valid or not
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            network.save_pretrained(folder, save_compressed=True, max_shard_size="100GB")
            for file in Path(folder).iterdir():
                if file.name == "config.json" or "safetensors" in file.name:
                    file.rename(directory / file.name)
        advance()
    model.copy_companions(directory, but=("config.json",))


def check_scales(result: Checkpoint) -> None:
    """Raise InputError for scales that are no positive numbers."""
    with result.open_weights() as weights:
        for name in weights.headers:
            if name.endswith("_scale"):
                scale = float(read_tensor(weights, name).float().max())
                if not 0 < scale < math.inf:
                    raise InputError(
                        f"{name} is {scale}: the model's weights or hidden states hold NaN or "
                        "infinity"
                    )


def _loader(rows: Sequence[list[int]], advance: Callable[[], None]) -> DataLoader[Any]:
    """Return what llm-compressor takes batches from: one row each, so that nothing is padded."""
    from torch import tensor
    from torch.utils.data import DataLoader

    def batch(row: list[int]) -> dict[str, torch.Tensor]:
        advance()
        return {"input_ids": tensor([row])}

    return DataLoader(rows, batch_size=None, collate_fn=batch)  # type: ignore[arg-type]


def _check_ignored(network: torch.nn.Module, ignore: list[str]) -> None:
    modules = dict(network.named_modules())
    names = {*modules, *(type(module).__name__ for module in modules.values())}
    for entry in ignore:
        if entry.startswith("re:"):
            matches = any(re.match(entry[3:], name) for name in modules)
        else:
            matches = entry in names
        if not matches:
            raise SettingError("ignore", entry, f"names no module{did_you_mean(entry, names)}")

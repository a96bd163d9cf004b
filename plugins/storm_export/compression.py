"""Running llm-compressor without its log messages and files in the working directory."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import SettingError, did_you_mean
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.quiet import quiet

if TYPE_CHECKING:
    import torch


def compress(
    model: Checkpoint,
    directory: Path,
    scheme: str,
    ignore: list[str],
    advance: Callable[[], None],
) -> None:
    """Quantise the linear layers of a checkpoint with a data-free scheme, and write `directory`.

    Files other than weights and config are copied from the model. `advance` is called after
    loading, quantising and saving. Raises SettingError for an entry of `ignore` that matches no
    module.
    """
    with quiet():
        os.environ.setdefault("LLM_COMPRESSOR_LOG_DISABLED", "true")
        from llmcompressor import oneshot
        from llmcompressor.modifiers.quantization import QuantizationModifier
        from transformers import GenerationConfig

        network = model.load()
        _check_ignored(network, ignore)
        advance()
        recipe = QuantizationModifier(targets="Linear", scheme=scheme, ignore=ignore)
        oneshot(model=network, recipe=recipe, trust_remote_code_model=False)
        advance()
        network.generation_config = GenerationConfig()  # the file is copied, valid or not
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            network.save_pretrained(folder, save_compressed=True, max_shard_size="100GB")
            for file in Path(folder).iterdir():
                if file.name == "config.json" or "safetensors" in file.name:
                    file.rename(directory / file.name)
        advance()
    model.copy_companions(directory, but=("config.json",))


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

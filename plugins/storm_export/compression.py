"""llm-compressor, kept quiet and away from the working directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from storm_models.checkpoint import COMPANION_FILES, Checkpoint
from storm_models.quiet import quiet


def compress(
    model: Checkpoint,
    directory: Path,
    scheme: str,
    ignore: list[str],
    advance: Callable[[], None],
) -> None:
    """Quantise the linear layers of a checkpoint after a data-free scheme, into `directory`.

    Everything but weights and config is copied from the model. `advance` is called after
    loading, quantising and saving.
    """
    with quiet():
        os.environ.setdefault("LLM_COMPRESSOR_LOG_DISABLED", "true")
        from llmcompressor import oneshot
        from llmcompressor.modifiers.quantization import QuantizationModifier

        network = model.load()
        advance()
        recipe = QuantizationModifier(targets="Linear", scheme=scheme, ignore=ignore)
        oneshot(model=network, recipe=recipe)
        advance()
        with tempfile.TemporaryDirectory(dir=directory) as folder:
            network.save_pretrained(folder, save_compressed=True, max_shard_size="100GB")
            for file in Path(folder).iterdir():
                if file.name == "config.json" or "safetensors" in file.name:
                    file.rename(directory / file.name)
        advance()
    for name in COMPANION_FILES:
        if name != "config.json" and (model.directory / name).is_file():
            (directory / name).write_bytes((model.directory / name).read_bytes())

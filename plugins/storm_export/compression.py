"""llm-compressor, kept quiet and away from the working directory."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from storm_models.checkpoint import COMPANION_FILES, Checkpoint


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
    with _quiet():
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


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what llm-compressor and transformers print while all goes well."""
    os.environ.setdefault("LLM_COMPRESSOR_LOG_DISABLED", "true")
    from transformers.utils import logging as transformers_logging

    had_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    level = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        if had_bars:
            transformers_logging.enable_progress_bar()

"""Suppressing output and network access of libraries while a stage uses them."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator

import datasets
import huggingface_hub.constants
import lm_eval.api.task
import transformers


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Switch off network access of `datasets` and the hub client."""
    before = datasets.config.HF_DATASETS_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE
    datasets.config.HF_DATASETS_OFFLINE = huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE = before


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress output of libraries, which goes to the stage's log instead."""
    loggers = [logging.getLogger(name) for name in ("lm_eval", "datasets", "transformers")]
    levels = [logger.level for logger in loggers]
    bars = datasets.are_progress_bars_disabled()
    tqdm = lm_eval.api.task.tqdm
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    loading = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    lm_eval.api.task.tqdm = lambda rows, **_: rows
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            yield
    finally:
        if output.getvalue().strip():
            logging.getLogger(__name__).info("printed by libraries: %s", output.getvalue())
        lm_eval.api.task.tqdm = tqdm
        if loading:
            transformers.utils.logging.enable_progress_bar()
        if not bars:
            datasets.enable_progress_bars()
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

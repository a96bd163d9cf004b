"""Training under Lightning: one trainer, and what is trained with it.

`trainer.train(model, sequences, settings, stage)` is the loop, for every objective;
`chat_tokens` turns chats into its data; `sft` and `spectrum` choose what trains; `snr_scanner`
measures what Spectrum chooses by.
"""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the scanner and the fine-tuners."""
    from storm_training.sft import Sft
    from storm_training.snr_scanner import SnrScanner
    from storm_training.spectrum import Spectrum

    return [Sft, SnrScanner, Spectrum]

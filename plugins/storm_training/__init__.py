"""Training under Lightning: one trainer, and what is trained with it.

`trainer.train(model, sequences, settings, stage)` is the loop, for every objective;
`chat_tokens` turns chats into its data; `sft` and `spectrum` choose what trains; `snr_scanner`
measures what Spectrum chooses by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.record import RunRecord
    from storm_exp.report import Section


@hookimpl
def storm_components() -> list[type]:
    """Return the scanner and the fine-tuners."""
    from storm_training.sft import Sft
    from storm_training.snr_scanner import SnrScanner
    from storm_training.spectrum import Spectrum

    return [Sft, SnrScanner, Spectrum]


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on what trains and on the losses."""
    from storm_training.report import sections

    return sections(run)

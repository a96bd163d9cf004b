"""Training under Lightning: one trainer, and what is trained with it.

Token sets (`token_set`) are data as a tokenizer sees it, made once. `trainer.train(model,
sequences, settings, stage)` is the loop, `objective` what it minimises, `parameters` what trains;
`snr_scanner` measures what Spectrum chooses by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.record import RunRecord
    from storm_exp.report import Section


@hookimpl
def storm_components() -> list[type]:
    """Return token sets, the scanner, and the objectives."""
    from storm_training.chat_token_set import ChatTokenSet
    from storm_training.distillation import Distillation
    from storm_training.document_token_set import DocumentTokenSet
    from storm_training.dpo import Dpo
    from storm_training.pair_scorer import PairScorer
    from storm_training.preference_token_set import PreferenceTokenSet
    from storm_training.pretraining import Pretraining
    from storm_training.sft import Sft
    from storm_training.snr_scanner import SnrScanner
    from storm_training.token_mixture import TokenMixture
    from storm_training.top_k_teacher import TopKTeacher

    tokens = [ChatTokenSet, DocumentTokenSet, PreferenceTokenSet, TokenMixture]
    return [*tokens, SnrScanner, PairScorer, TopKTeacher, Sft, Pretraining, Dpo, Distillation]


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on what trains and on the losses."""
    from storm_training.report import sections

    return sections(run)

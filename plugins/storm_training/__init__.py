"""Training with Lightning: token sets, objectives, the choice of parameters, and one trainer.

`components` holds what recipes name. `data` tokenises and packs, `objectives` defines the losses,
`trainable` selects parameters (Spectrum, LoRA, …), `references` stores the outputs of another
model, and `loop.trainer.train(model, sequences, settings, stage)` runs the training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section
    from storm_report.look.view import View

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the token sets, the scanner, the reference models and the fine-tuners."""
    from storm_training.components.distillation import Distillation
    from storm_training.components.dpo import Dpo
    from storm_training.components.pretraining import Pretraining
    from storm_training.components.sft import Sft
    from storm_training.data.chat_tokens import ChatTokenSet
    from storm_training.data.document_tokens import DocumentTokenSet
    from storm_training.data.preference_tokens import PreferenceTokenSet
    from storm_training.data.token_mixture import TokenMixture
    from storm_training.references.reference_scorer import ReferenceScorer
    from storm_training.references.top_k_teacher import TopKTeacher
    from storm_training.trainable.snr_scanner import SnrScanner

    tokens = [ChatTokenSet, DocumentTokenSet, PreferenceTokenSet, TokenMixture]
    return [*tokens, SnrScanner, ReferenceScorer, TopKTeacher, Sft, Pretraining, Dpo, Distillation]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers", "lightning", "numpy", "pyarrow"), "train"


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on trained parameters and losses."""
    from storm_training.report import sections

    return sections(run)


@hookimpl
def storm_views() -> list[View]:
    """Return the views of token sets and of what a training reads."""
    from storm_training.look.token_set_view import TokenSetView
    from storm_training.look.training_view import TrainingView

    return [TokenSetView(), TrainingView()]


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return the verb that shows data as training sees it."""
    from storm_training.look.verb import look

    return {"look": look}


@hookimpl
def storm_completions() -> dict[str, Callable[[list[str]], list[str]]]:
    """Return what a shell offers behind `look`: stages of the latest run."""
    from storm_inference.targets.completions import latest_stages

    return {"look": latest_stages}

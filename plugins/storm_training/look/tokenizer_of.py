"""The tokenizer that made a token set, found through the artifacts that it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import InputError
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_report.look.view import Choice, Subject

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenizer_of(
    subject: Subject, choice: Choice, digest: str
) -> tuple[PreTrainedTokenizerBase | None, str]:
    """Return the tokenizer with a digest, and a note; None, and why, if it is nowhere.

    Raises InputError if a model was named whose tokenizer is another one.
    """
    if choice.model is not None:
        model = Checkpoint(choice.model.place)
        if model.tokenizer_digest() != digest:
            raise InputError(
                f"--model {choice.model.name}: the tokens were made with another tokenizer"
            )
        return model.tokenizer(), ""
    source = _model_of(subject)
    if source is None or Checkpoint(source.place).tokenizer_digest() != digest:
        return None, (
            "the model whose tokenizer made the tokens is not in the store: ids are shown; name a "
            "model with that tokenizer by --model"
        )
    return Checkpoint(source.place).tokenizer(), ""


def _model_of(subject: Subject) -> Subject | None:
    """Return the model at the port `model`, of a mixture that of its first part."""
    part = subject.input("parts")
    return _model_of(part) if part else subject.input("model")

"""The rows that a model is measured on, as batches of token ids."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from storm_data.dataset import Dataset
from storm_exp import InputError
from storm_inference.prefix_tree import batches
from storm_minitron.calibration.settings import CalibrationSettings
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatTokens
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.model_config import ModelConfig
from storm_models.families.rope import short_context

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclasses.dataclass(frozen=True)
class Sample:
    """One row."""

    ids: list[int]
    answer: list[bool]
    """True for the tokens of the last assistant's turn, the one that ends it included; in a
    document for every token but the first."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of equal width, padded on the right: what a causal model reads is not disturbed."""

    ids_RT: torch.Tensor
    counted_RT: torch.Tensor
    """True for tokens that are no padding and in no row that only fills the batch."""
    answer_RT: torch.Tensor
    """True for those of them that belong to an answer."""
    positions_RT: torch.Tensor | None = None
    """Positions that start anew where padding does, for models that read short rows otherwise than
    long ones; None: each token's place in its row."""

    def inputs(self) -> dict[str, torch.Tensor]:
        """Return what the model is given."""
        if self.positions_RT is None:
            return {"input_ids": self.ids_RT}
        return {"input_ids": self.ids_RT, "position_ids": self.positions_RT}


def read_samples(
    data: Dataset,
    split: str,
    model: Checkpoint,
    settings: CalibrationSettings,
    seed: int,
    *,
    whole: bool = False,
) -> tuple[list[Sample], dict[str, int]]:
    """Return the rows that the seed draws from a split, and how many were left out, by reason.

    Drawn are the rows with the smallest digests of seed and id, so that the choice does not hang
    on the order. Longer rows than `max_length` are cut; with `whole` they are left out instead.
    Raises InputError when no row is left.
    """
    drawn = heapq.nsmallest(
        settings.samples,
        ((_digest(seed, str(row["id"]), place), row) for place, row in enumerate(data.rows(split))),
        key=lambda entry: entry[0],
    )
    samples: list[Sample] = []
    left_out: dict[str, int] = {}
    for found in _samples(model, [row for _, row in drawn]):
        if isinstance(found, Sample) and whole and len(found.ids) > settings.max_length:
            found = f"longer than {settings.max_length} tokens"
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
            continue
        end = settings.max_length
        samples.append(Sample(found.ids[:end], found.answer[:end]))
    if not samples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise InputError(f"no row of the split '{split}' can be read ({reasons or 'no rows'})")
    return samples, left_out


def make_batches(
    samples: Sequence[Sample], settings: CalibrationSettings, device: str, config: ModelConfig
) -> Iterator[Batch]:
    """Yield all rows once, in batches of the settings' shape, short rows first.

    `config` is that of the model that reads them.
    """
    by_length = short_context(config) is not None
    sizes = [len(sample.ids) for sample in samples]
    for width, indices in batches(sizes, settings.batch_size, settings.pad_to_multiple_of):
        shape = (len(indices), width)
        ids = torch.zeros(shape, dtype=torch.long)
        counted, answer = (torch.zeros(shape, dtype=torch.bool) for _ in range(2))
        seen: set[int] = set()
        for row, index in enumerate(indices):
            sample = samples[index]
            ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
            if index not in seen:
                counted[row, : len(sample.ids)] = True
                answer[row, : len(sample.ids)] = torch.tensor(sample.answer)
            seen.add(index)
        positions = None
        if by_length:
            lengths = torch.tensor([len(samples[index].ids) for index in indices])[:, None]
            places = torch.arange(width).expand(shape)
            positions = torch.where(places < lengths, places, places - lengths).to(device)
        yield Batch(ids.to(device), counted.to(device), answer.to(device), positions)


def _digest(seed: int, name: str, place: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest(), place


def _samples(model: Checkpoint, rows: list[dict[str, Any]]) -> list[Sample | str]:
    """Return each row's tokens, or why it cannot be used."""
    if not rows or rows[0].get("messages") is None:
        tokenizer = model.tokenizer()
        return [_document(tokenizer, row["text"]) for row in rows]
    asked, firsts, found = [], [], []
    for row in rows:
        chat = Conversation.of(row)
        answers = chat.answers()
        found.append("without an answer" if not answers or answers[-1] == 0 else "")
        last = answers[-1] if answers else len(chat.messages) - 1
        asked.append(chat.first(last + 1))
        firsts.append(last)
    encoded = model.chat().encode(asked, firsts)
    return [problem or _answered(tokens) for problem, tokens in zip(found, encoded, strict=True)]


def _document(tokenizer: PreTrainedTokenizerBase, text: str) -> Sample | str:
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    return Sample(ids, [False] + [True] * (len(ids) - 1)) if len(ids) > 1 else "empty"


def _answered(tokens: ChatTokens | UnusableChat) -> Sample | str:
    """Return a chat up to the end of its last answer."""
    if isinstance(tokens, UnusableChat):
        return str(tokens)
    if not any(tokens.supervised):
        return "without an answer that the template sets apart"
    end = len(tokens.ids) - tokens.supervised[::-1].index(True)
    return Sample(tokens.ids[:end], tokens.supervised[:end])

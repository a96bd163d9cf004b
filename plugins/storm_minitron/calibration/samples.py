"""Calibration rows as batches of token ids."""

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
    """The tokens of one row."""

    input_ids: list[int]
    answer: list[bool]
    """True for the tokens of the last assistant turn, with the token that ends it; in a document
    for all tokens but the first."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of equal width, padded on the right, where a causal model does not see the padding."""

    input_ids_RT: torch.Tensor
    counted_RT: torch.Tensor
    """True for tokens other than padding and repeated rows."""
    answer_RT: torch.Tensor
    """True for counted tokens that belong to an answer."""
    position_ids_RT: torch.Tensor | None = None
    """Positions that restart at padding, for models with other rotary factors for short rows; None:
    the index in the row."""

    def inputs(self) -> dict[str, torch.Tensor]:
        """Return the model's keyword arguments."""
        if self.position_ids_RT is None:
            return {"input_ids": self.input_ids_RT}
        return {"input_ids": self.input_ids_RT, "position_ids": self.position_ids_RT}


def read_samples(
    data: Dataset,
    split: str,
    model: Checkpoint,
    settings: CalibrationSettings,
    seed: int,
    *,
    whole: bool = False,
) -> tuple[list[Sample], dict[str, int]]:
    """Return samples drawn from a split, and {reason: number of rows left out}.

    Drawn are the rows with the smallest digests of seed and id, so that the choice does not depend
    on their order. Rows longer than `max_length` are cut, or, with `whole`, left out. Raises
    InputError when no row is left.
    """
    drawn = heapq.nsmallest(
        settings.samples,
        ((_digest(seed, str(row["id"]), index), row) for index, row in enumerate(data.rows(split))),
        key=lambda entry: entry[0],
    )
    samples: list[Sample] = []
    left_out: dict[str, int] = {}
    longest = settings.max_length
    for sample in _samples(model, [row for _, row in drawn]):
        if isinstance(sample, Sample) and whole and len(sample.input_ids) > longest:
            sample = f"longer than {longest} tokens"
        if isinstance(sample, str):
            left_out[sample] = left_out.get(sample, 0) + 1
            continue
        samples.append(Sample(sample.input_ids[:longest], sample.answer[:longest]))
    if not samples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise InputError(f"no row of the split '{split}' can be read ({reasons or 'no rows'})")
    return samples, left_out


def make_batches(
    samples: Sequence[Sample], settings: CalibrationSettings, device: str, config: ModelConfig
) -> Iterator[Batch]:
    """Yield all rows once, in batches of the settings' shape, short rows first.

    `config` is the model's.
    """
    needs_positions = short_context(config) is not None
    sizes = [len(sample.input_ids) for sample in samples]
    for width, indices in batches(sizes, settings.batch_size, settings.pad_to_multiple_of):
        shape = (len(indices), width)
        input_ids = torch.zeros(shape, dtype=torch.long)
        counted, answer = (torch.zeros(shape, dtype=torch.bool) for _ in range(2))
        seen: set[int] = set()
        for row, index in enumerate(indices):
            sample = samples[index]
            input_ids[row, : len(sample.input_ids)] = torch.tensor(sample.input_ids)
            if index not in seen:
                counted[row, : len(sample.input_ids)] = True
                answer[row, : len(sample.input_ids)] = torch.tensor(sample.answer)
            seen.add(index)
        positions = None
        if needs_positions:
            lengths = torch.tensor([len(samples[index].input_ids) for index in indices])[:, None]
            columns = torch.arange(width).expand(shape)
            positions = torch.where(columns < lengths, columns, columns - lengths).to(device)
        yield Batch(input_ids.to(device), counted.to(device), answer.to(device), positions)


def _digest(seed: int, row_id: str, index: int) -> tuple[bytes, int]:
    return hashlib.sha256(f"{seed}\0{row_id}".encode()).digest(), index


def _samples(model: Checkpoint, rows: list[dict[str, Any]]) -> list[Sample | str]:
    """Return each row's sample, or why it cannot be used."""
    if not rows or rows[0].get("messages") is None:
        tokenizer = model.tokenizer()
        return [_document(tokenizer, row["text"]) for row in rows]
    chats, prompt_lengths, problems = [], [], []
    for row in rows:
        chat = Conversation.of(row)
        answers = chat.answers()
        problems.append("without an answer" if not answers or answers[-1] == 0 else "")
        last = answers[-1] if answers else len(chat.messages) - 1
        chats.append(chat.first(last + 1))
        prompt_lengths.append(last)
    encoded = model.chat().encode(chats, prompt_lengths)
    return [problem or _chat(tokens) for problem, tokens in zip(problems, encoded, strict=True)]


def _document(tokenizer: PreTrainedTokenizerBase, text: str) -> Sample | str:
    input_ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    if len(input_ids) < 2:
        return "empty"
    return Sample(input_ids, [False] + [True] * (len(input_ids) - 1))


def _chat(tokens: ChatTokens | UnusableChat) -> Sample | str:
    """Return a chat up to the end of its last answer."""
    if isinstance(tokens, UnusableChat):
        return str(tokens)
    if not any(tokens.supervised):
        return "without an answer that the template marks"
    end = len(tokens.ids) - tokens.supervised[::-1].index(True)
    return Sample(tokens.ids[:end], tokens.supervised[:end])

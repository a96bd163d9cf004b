"""Calibration rows as token ids: those that a model reads to be measured."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
from typing import TYPE_CHECKING, Any

from storm_data.dataset import Dataset
from storm_exp import InputError
from storm_inference.calibration.settings import SampleSettings
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatTokens
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclasses.dataclass(frozen=True)
class Sample:
    """The tokens of one row."""

    input_ids: list[int]
    answer: list[bool]
    """True for the tokens of the last assistant turn, with the token that ends it; in a document
    for all tokens but the first."""


def read_samples(
    data: Dataset,
    split: str,
    model: Checkpoint,
    settings: SampleSettings,
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


@dataclasses.dataclass(frozen=True)
class Account:
    """What was read for calibration, compared with what was asked for."""

    calibration_rows: int
    calibration_tokens: int
    samples: int
    """Rows asked for."""
    left_out: dict[str, int]
    """{reason: rows}"""

    @classmethod
    def of(cls, read: list[Sample], left_out: dict[str, int], asked: int) -> Account:
        """Return the account of samples."""
        tokens = sum(len(sample.input_ids) for sample in read)
        return cls(len(read), tokens, asked, left_out)

    def line(self) -> str:
        """Return a sentence, which says whether rows were fewer than asked for, and why."""
        text = f"calibrated on {self.calibration_rows} rows, {self.calibration_tokens} tokens"
        if self.calibration_rows < self.samples:
            text += f", fewer than samples={self.samples}"
            reasons = [f"{count} {reason}" for reason, count in self.left_out.items()]
            text += f"; left out: {', '.join(reasons)}" if reasons else ""
        return text


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

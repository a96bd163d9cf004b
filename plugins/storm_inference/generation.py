"""Generation of whole answers, shard by shard."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from storm_data.dataset import Dataset
from storm_exp import InputError, StageContext
from storm_inference.engines.engine import Engine, Sampling
from storm_inference.journal import Journal
from storm_inference.shots import Shots, put_before
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.rope import answered_alike

Row = dict[str, Any]
EMPTY = "the answer is empty"
Answer = tuple[str, str]
"""(text, why it cannot be used; empty if it can)."""


def answer(generator: Generator, stage: StageContext, data: Dataset, shard_rows: int) -> Dataset:
    """Write `data` with new answers into the stage; raises InputError if none can be used."""
    splits = [name for name in ("train", "validation") if data.count(name)]
    result, rejected = Dataset(stage.directory), []
    kept = 0
    with stage.progress(sum(data.count(name) for name in splits), "chats", "answering") as bar:
        for split in splits:
            rows: list[Row] = []
            for shard in _shards(data.rows(split), shard_rows):
                for row, (text, problem) in zip(shard, generator.answer(shard), strict=True):
                    turns = [*_question_turns(row), {"role": "assistant", "content": text}]
                    if problem:
                        rejected.append({**row, "reason": problem})
                    else:
                        rows.append({**row, "messages": turns})
                bar.advance(len(shard))
            if not rows:
                reasons = Counter(row["reason"] for row in rejected).most_common(3)
                counts = "; ".join(f"{count} times {reason}" for reason, count in reasons)
                raise InputError(f"no answer of the split '{split}' can be used: {counts}")
            result.write(split, rows, data.table(split).schema)
            kept += len(rows)
    if rejected:
        schema = data.table(splits[0]).schema.append(pa.field("reason", pa.string()))
        pq.write_table(
            pa.Table.from_pylist(rejected, schema=schema), stage.directory / "rejected.parquet"
        )
        stage.say(f"{len(rejected)} of {kept + len(rejected)} answers cannot be used")
    stage.metric("answers", kept, main=True)
    stage.metric("rejected", len(rejected))
    for name, value in (generator.engine.figures() if generator.engine else {}).items():
        stage.metric(name, value)
    return result


def question(row: Row) -> Conversation:
    """Return a row's chat without its last turn if that is the assistant's."""
    return Conversation.of(row).first(len(_question_turns(row)))


def _question_turns(row: Row) -> list[dict[str, Any]]:
    """Return the row's messages that belong to its `question`."""
    turns: list[dict[str, Any]] = row["messages"]
    return turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns


class Generator:
    """Answers shards of rows with an engine, opened for the first that is not finished."""

    def __init__(
        self,
        model: Checkpoint,
        sampling: Sampling,
        shots: Shots,
        *,
        unfinished: bool,
        batch_size: int | None,
        open_engine: Callable[[], Engine],
        scratch: Path,
    ) -> None:
        """Answer batches of `batch_size` chats (None: all); `scratch` stores finished shards.

        With `unfinished`, answers that do not end within `max_new_tokens` are accepted, cut there.
        """
        self._model, self._sampling, self._shots = model, sampling, shots
        self._batch_rows, self._scratch = batch_size, scratch
        self._unfinished, self._open = unfinished, open_engine
        self._tokenizer = model.tokenizer()
        self._chat = model.chat()
        self._positions = model.config().get("max_position_embeddings")
        self._engine: Engine | None = None
        self._seed = sampling.seed

    @property
    def engine(self) -> Engine | None:
        """The engine, None if every shard was finished before."""
        return self._engine

    def close(self) -> None:
        """Close the engine, if it was opened."""
        if self._engine is not None:
            self._engine.close()

    def answer(self, rows: list[Row]) -> list[Answer]:
        """Return an answer for every row, in order."""
        digest = hashlib.sha256(
            json.dumps([[row["messages"], row.get("tools")] for row in rows]).encode()
        ).hexdigest()
        file = self._scratch / f"{digest}.json"
        if file.is_file():
            return [(text, problem) for text, problem in json.loads(file.read_text())]
        prompts: list[list[int]] = []
        answers: list[Answer] = []
        questions = map(question, rows)
        chats = [
            Conversation(put_before(chat.messages, self._shots.of(row)), chat.tools)
            for row, chat in zip(rows, questions, strict=True)
        ]
        for chat, rendered in zip(chats, self._chat.prompts(chats), strict=True):
            prompt, problem = self._check_prompt(chat, rendered)
            prompts.append(prompt)
            answers.append(("", problem))
        usable = [index for index, (_, problem) in enumerate(answers) if not problem]
        order = sorted(usable, key=lambda index: len(prompts[index]))
        self._seed = self._sampling.seed + int(digest[:8], 16)
        torch.manual_seed(self._seed)
        journal = Journal(file.with_suffix(".journal"))
        done = [entry["answers"] for entry in journal.entries]
        if journal.entries and self._sampling.temperature > 0:
            self._load().restore(journal.entries[-1]["random"])
        for number, batch in enumerate(self._batches(order, prompts)):
            if number < len(done):
                batch_answers = [(text, problem) for text, problem in done[number]]
            else:
                batch_answers = self._generate([prompts[index] for index in batch])
                sampled = self._sampling.temperature > 0
                random = self._load().random_state() if sampled else ""
                journal.append({"answers": batch_answers, "random": random})
            for index, answer in zip(batch, batch_answers, strict=True):
                answers[index] = answer
        _write_answers(file, answers)
        journal.remove()
        return answers

    def _batches(self, order: list[int], prompts: list[list[int]]) -> list[list[int]]:
        """Return batches of row indices, in `order`."""
        size = self._batch_rows or max(1, len(order))
        lengths = [len(prompts[index]) + self._sampling.max_new_tokens for index in order]
        return [
            [order[number] for number in group[start : start + size]]
            for group in answered_alike(self._model.config(), lengths)
            for start in range(0, len(group), size)
        ]

    def _check_prompt(
        self, chat: Conversation, prompt: list[int] | UnusableChat
    ) -> tuple[list[int], str]:
        """Return a prompt's token ids, and why it cannot be answered (empty if it can)."""
        if not chat.messages:
            return [], "there is no message before the answer"
        if isinstance(prompt, UnusableChat):
            return [], str(prompt)
        if self._positions and len(prompt) + self._sampling.max_new_tokens > self._positions:
            return (
                prompt,
                f"{len(prompt)} tokens leave no room for an answer in the model's "
                f"{self._positions} positions",
            )
        return prompt, ""

    def _generate(self, prompts: list[list[int]]) -> list[Answer]:
        sampling = dataclasses.replace(self._sampling, seed=self._seed)
        return [self._decode(tokens) for tokens in self._load().generate(prompts, sampling)]

    def _decode(self, tokens: list[int]) -> Answer:
        """Return the text up to a stop token, and why it cannot be used."""
        stops = self._load().stops
        end = next((i for i, token in enumerate(tokens) if token in stops), None)
        text = str(self._tokenizer.decode(tokens[:end], skip_special_tokens=True))
        if end is None and not self._unfinished:
            return text, f"the answer does not end within {self._sampling.max_new_tokens} tokens"
        # Training on the answer would encode a control token in it as a turn.
        with_controls = str(self._tokenizer.decode(tokens[:end], skip_special_tokens=False))
        if token := self._chat.controls.within(with_controls):
            return text, f"the answer contains the control token {token}"
        return text, "" if text.strip() else EMPTY

    def _load(self) -> Engine:
        if self._engine is None:
            self._engine = self._open()
        return self._engine


def _shards(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while shard := list(itertools.islice(rows, size)):
        yield shard


def _write_answers(file: Path, answers: list[Answer]) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(answers), encoding="utf-8")
    partial.replace(file)

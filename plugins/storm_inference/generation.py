"""Generation of whole answers, shard by shard."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from storm_data.dataset import Dataset
from storm_exp import InputError, StageContext
from storm_inference.batches import Batch, answer_batches, digest_of, shards_of
from storm_inference.engines.engine import Engine, Sampling
from storm_inference.journal import Journal
from storm_inference.shards import Shards
from storm_inference.shots import Shots, put_before
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.rope import answered_alike

Row = dict[str, Any]
EMPTY = "the answer is empty"
Answer = tuple[str, str]
"""(text, why it cannot be used; empty if it can)."""
Advance = Callable[[int], None]


def answer(generator: Generator, stage: StageContext, data: Dataset, shard_rows: int) -> Dataset:
    """Write `data` with new answers into the stage; raises InputError if none can be used."""
    splits = [name for name in ("train", "validation") if data.count(name)]
    result, rejected = Dataset(stage.directory), []
    kept = 0
    with stage.progress(sum(data.count(name) for name in splits), "chats", "answering") as bar:
        if stage.world > 1:  # every worker answers the shards that nobody else has taken
            for split in splits:
                for shard in _shards(data.rows(split), shard_rows):
                    generator.offer(shard, bar.advance)
            if stage.rank > 0:
                return result
        for split in splits:
            rows: list[Row] = []
            for shard in _shards(data.rows(split), shard_rows):
                answers = generator.answer(shard, bar.advance)
                for row, (text, problem) in zip(shard, answers, strict=True):
                    turns = [*_question_turns(row), {"role": "assistant", "content": text}]
                    if problem:
                        rejected.append({**row, "reason": problem})
                    else:
                        rows.append({**row, "messages": turns})
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
        shards: Shards,
    ) -> None:
        """Answer batches of `batch_size` chats (None: all); `shards` keeps what is finished.

        With `unfinished`, answers that do not end within `max_new_tokens` are accepted, cut there.
        """
        self._model, self._sampling, self._shots = model, sampling, shots
        self._batch_rows, self._shards = batch_size, shards
        self._unfinished, self._open = unfinished, open_engine
        self._tokenizer = model.tokenizer()
        self._chat = model.chat()
        self._positions = model.config().get("max_position_embeddings")
        self._engine: Engine | None = None
        self._seed = sampling.seed
        self._advance: Advance = lambda rows: None

    @property
    def engine(self) -> Engine | None:
        """The engine, None if every shard was finished before."""
        return self._engine

    def close(self) -> None:
        """Close the engine, if it was opened."""
        if self._engine is not None:
            self._engine.close()

    def offer(self, rows: list[Row], advance: Advance = lambda rows: None) -> None:
        """Answer rows that form a shard, unless another worker is at them."""
        name = _name(rows)
        self._shards.make(name, functools.partial(self._answer, rows, name, advance))

    def answer(self, rows: list[Row], advance: Advance = lambda rows: None) -> list[Answer]:
        """Return an answer for every row of a shard, in order; waits for another worker's.

        `advance` is called with numbers of answered rows.
        """
        name = _name(rows)
        compute = functools.partial(self._answer, rows, name, advance)
        answers = self._shards.result(name, compute)
        if name not in self._shards.made:
            advance(len(rows))
        return [(text, problem) for text, problem in answers]

    def answer_together(self, rows: list[Row], advance: Advance) -> list[Answer]:
        """Return the most probable answer to every row, in order.

        Workers that are given the same rows share their batches, and all return all answers.
        """
        assert self._sampling.temperature == 0, "a draw depends on those before it"
        self._advance = advance
        prompts, answers = self._prompts(rows)
        usable = [index for index, (_, problem) in enumerate(answers) if not problem]
        advance(len(rows) - len(usable))
        asked = [prompts[index] for index in usable]
        batches = self._batches(sorted(range(len(asked)), key=lambda n: len(asked[n])), asked)

        def generate(batch: Batch) -> list[Answer]:
            return self._generate([asked[index] for index in batch])

        digest = digest_of([self._sampling.max_new_tokens, self._batch_rows, *asked])
        written = answer_batches(self._shards, digest, shards_of(batches), generate, advance)
        for index, (text, problem) in zip(usable, written, strict=True):
            answers[index] = (text, problem)
        return answers

    def _prompts(self, rows: list[Row]) -> tuple[list[list[int]], list[Answer]]:
        """Return the token ids of the rows' questions, and why some cannot be answered."""
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
        return prompts, answers

    def _answer(
        self, rows: list[Row], digest: str, advance: Advance, journal: Journal
    ) -> list[Answer]:
        prompts, answers = self._prompts(rows)
        usable = [index for index, (_, problem) in enumerate(answers) if not problem]
        order = sorted(usable, key=lambda index: len(prompts[index]))
        self._seed = self._sampling.seed + int(digest[:8], 16)
        torch.manual_seed(self._seed)
        self._advance = advance
        advance(len(rows) - len(usable))
        done = [entry["answers"] for entry in journal.entries]
        if journal.entries and self._sampling.temperature > 0:
            self._load().restore(journal.entries[-1]["random"])
        for number, batch in enumerate(self._batches(order, prompts)):
            if number < len(done):
                batch_answers = [(text, problem) for text, problem in done[number]]
                advance(len(batch))
            else:
                batch_answers = self._generate([prompts[index] for index in batch])
                sampled = self._sampling.temperature > 0
                random = self._load().random_state() if sampled else ""
                journal.append({"answers": batch_answers, "random": random})
            for index, answer in zip(batch, batch_answers, strict=True):
                answers[index] = answer
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
                f"{self._positions} positions with max_new_tokens={self._sampling.max_new_tokens}",
            )
        return prompt, ""

    def _generate(self, prompts: list[list[int]]) -> list[Answer]:
        sampling = dataclasses.replace(self._sampling, seed=self._seed)
        written = self._load().generate(prompts, sampling, self._advance)
        return [self._decode(tokens) for tokens in written]

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


def _name(rows: list[Row]) -> str:
    contents = json.dumps([[row["messages"], row.get("tools")] for row in rows])
    return hashlib.sha256(contents.encode()).hexdigest()

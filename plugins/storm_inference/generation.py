"""Asking a model for whole answers, shard by shard."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import GenerationConfig

from storm_data.dataset import Dataset
from storm_exp import InputError, StageContext
from storm_inference.factor_change import generate_through
from storm_inference.journal import Journal
from storm_inference.shots import Shots, put_before
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.rope import answered_alike

Row = dict[str, Any]
EMPTY = "the answer is empty"
Answer = tuple[str, str]
"""What the model said, and why it cannot be used (empty when it can)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the tokens of an answer are chosen."""

    max_new_tokens: int
    temperature: float
    """0 takes the most probable token at every step; above 0 draws."""
    top_p: float
    """Draws among the most probable tokens that have this probability together."""
    unfinished: bool
    """Whether an answer that does not end within `max_new_tokens` is taken as it is, cut."""
    seed: int


def answer(generator: Generator, stage: StageContext, data: Dataset, shard_rows: int) -> Dataset:
    """Write `data` into the stage with new answers; raises InputError when none can be used."""
    splits = [name for name in ("train", "validation") if data.count(name)]
    made, rejected = Dataset(stage.directory), []
    kept = 0
    with stage.progress(sum(data.count(name) for name in splits), "chats", "answering") as bar:
        for split in splits:
            rows: list[Row] = []
            for shard in _shards(data.rows(split), shard_rows):
                for row, (text, problem) in zip(shard, generator.answer(shard), strict=True):
                    turns = [*_asked(row), {"role": "assistant", "content": text}]
                    if problem:
                        rejected.append({**row, "reason": problem})
                    else:
                        rows.append({**row, "messages": turns})
                bar.advance(len(shard))
            if not rows:
                reasons = Counter(row["reason"] for row in rejected).most_common(3)
                shown = "; ".join(f"{count} times {reason}" for reason, count in reasons)
                raise InputError(f"no answer of the split '{split}' can be used: {shown}")
            made.write(split, rows, data.table(split).schema)
            kept += len(rows)
    if rejected:
        schema = data.table(splits[0]).schema.append(pa.field("reason", pa.string()))
        pq.write_table(
            pa.Table.from_pylist(rejected, schema=schema), stage.directory / "rejected.parquet"
        )
        stage.say(f"{len(rejected)} of {kept + len(rejected)} answers cannot be used")
    stage.metric("answers", kept, main=True)
    stage.metric("rejected", len(rejected))
    return made


def question(row: Row) -> Conversation:
    """Return a chat up to where the model answers: its last turn goes if the assistant's."""
    return Conversation.of(row).first(len(_asked(row)))


def _asked(row: Row) -> list[dict[str, Any]]:
    """Return the messages of `question` as the row holds them."""
    turns: list[dict[str, Any]] = row["messages"]
    return turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns


class Generator:
    """The model, loaded for the first shard that needs it, and the shards that are finished."""

    def __init__(
        self,
        model: Checkpoint,
        sampling: Sampling,
        shots: Shots,
        *,
        batch_size: int,
        device: str,
        scratch: Path,
        dtype: str = "auto",
    ) -> None:
        """Answer with `batch_size` chats at once; finished shards are kept in `scratch`."""
        self._model, self._sampling, self._shots = model, sampling, shots
        self._batch_rows, self._device, self._scratch = batch_size, device, scratch
        self._dtype = dtype
        self._tokenizer = model.tokenizer()
        self._chat = model.chat()
        self._positions = model.config().get("max_position_embeddings")
        self._network: Any = None
        self._stops: list[int] = []

    def answer(self, rows: list[Row]) -> list[Answer]:
        """Return an answer for every row, in order."""
        address = hashlib.sha256(
            json.dumps([[row["messages"], row.get("tools")] for row in rows]).encode()
        )
        file = self._scratch / f"{address.hexdigest()}.json"
        if file.is_file():
            return [(text, problem) for text, problem in json.loads(file.read_text())]
        prompts: list[list[int]] = []
        answers: list[Answer] = []
        questions = map(question, rows)
        chats = [
            Conversation(put_before(chat.messages, self._shots.of(row)), chat.tools)
            for row, chat in zip(rows, questions, strict=True)
        ]
        asked_chats = zip(chats, self._chat.prompts(chats), strict=True)
        for prompt, problem in (self._checked(chat, ids) for chat, ids in asked_chats):
            prompts.append(prompt)
            answers.append(("", problem))
        usable = [index for index, (_, problem) in enumerate(answers) if not problem]
        order = sorted(usable, key=lambda index: len(prompts[index]))
        torch.manual_seed(self._sampling.seed + int(address.hexdigest()[:8], 16))
        journal = Journal(file.with_suffix(".journal"))
        done = [entry["answers"] for entry in journal.entries]
        if journal.entries and self._sampling.temperature > 0:
            self._restore(journal.entries[-1]["random"])
        for number, batch in enumerate(self._batches(order, prompts)):
            if number < len(done):
                texts = [(text, problem) for text, problem in done[number]]
            else:
                texts = self._generate([prompts[index] for index in batch])
                journal.append({"answers": texts, "random": self._random()})
            for index, one in zip(batch, texts, strict=True):
                answers[index] = one
        _publish(file, answers)
        journal.remove()
        return answers

    def _batches(self, order: list[int], prompts: list[list[int]]) -> list[list[int]]:
        """Return the rows that are asked together, in `order`."""
        size = self._batch_rows
        lengths = [len(prompts[index]) + self._sampling.max_new_tokens for index in order]
        return [
            [order[place] for place in group[start : start + size]]
            for group in answered_alike(self._model.config(), lengths)
            for start in range(0, len(group), size)
        ]

    def _random(self) -> str:
        """Return the state of what draws tokens, empty where nothing is drawn."""
        if self._sampling.temperature == 0:
            return ""
        device = self._load().device
        on_gpu = device.type == "cuda"
        state = torch.cuda.get_rng_state(device) if on_gpu else torch.get_rng_state()
        return base64.b64encode(state.numpy().tobytes()).decode()

    def _restore(self, random: str) -> None:
        device = self._load().device
        state = torch.frombuffer(bytearray(base64.b64decode(random)), dtype=torch.uint8)
        if device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        else:
            torch.set_rng_state(state)

    def _checked(
        self, chat: Conversation, prompt: list[int] | UnusableChat
    ) -> tuple[list[int], str]:
        """Return the ids of a question, and why it cannot be asked."""
        if not chat.messages:
            return [], "there is nothing before the answer"
        if isinstance(prompt, UnusableChat):
            return [], str(prompt)
        if self._positions and len(prompt) + self._sampling.max_new_tokens > self._positions:
            return prompt, f"{len(prompt)} tokens leave no room for an answer in {self._positions}"
        return prompt, ""

    @torch.inference_mode()
    def _generate(self, prompts: list[list[int]]) -> list[Answer]:
        network, sampling = self._load(), self._sampling
        width = max(map(len, prompts))
        named = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, *self._stops)
        padding = next((int(token) for token in named if token is not None), 0)
        input_ids = torch.full((len(prompts), width), padding)
        mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        drawn = sampling.temperature > 0
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p} if drawn else {}

        def generate(given: torch.Tensor, mask: torch.Tensor, max_length: int) -> torch.Tensor:
            written: torch.Tensor = network.generate(
                input_ids=given,
                attention_mask=mask,
                max_new_tokens=max_length - given.shape[1],
                do_sample=drawn,
                top_k=0,
                pad_token_id=padding,
                **options,
            )
            return written

        given, mask = input_ids.to(network.device), mask.to(network.device)
        longest = width + sampling.max_new_tokens
        config = self._model.config()
        written = generate_through(config, given, mask, longest, self._stops, generate)
        return [self._read(tokens) for tokens in written[:, width:].tolist()]

    def _read(self, tokens: list[int]) -> Answer:
        place = next((i for i, token in enumerate(tokens) if token in self._stops), None)
        text = str(self._tokenizer.decode(tokens[:place], skip_special_tokens=True))
        if place is None and not self._sampling.unfinished:
            return text, f"the answer does not end within {self._sampling.max_new_tokens} tokens"
        # A turn that is forged inside an answer would be learnt as turns are.
        written = str(self._tokenizer.decode(tokens[:place], skip_special_tokens=False))
        if token := self._chat.controls.within(written):
            return text, f"the answer holds the control token {token}"
        return text, "" if text.strip() else EMPTY

    def _load(self) -> Any:
        if self._network is None:
            self._network = self._model.load(self._dtype, self._device)
            ends = self._network.generation_config.eos_token_id
            stops = {*(ends if isinstance(ends, list) else [ends]), *self._chat.ends}
            self._stops = sorted((stops | {self._tokenizer.eos_token_id}) - {None})
            # A model's own habits (top_k, a penalty on repetition) are not what was asked for.
            self._network.generation_config = GenerationConfig(eos_token_id=self._stops)
        return self._network


def _shards(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while shard := list(itertools.islice(rows, size)):
        yield shard


def _publish(file: Path, answers: list[Answer]) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(answers), encoding="utf-8")
    partial.replace(file)

"""Generation of whole answers, shard by shard."""

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
"""(text, why it cannot be used; empty when it can)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the tokens of an answer are chosen."""

    max_new_tokens: int
    temperature: float
    """0 takes the most probable token at every step; above 0 samples."""
    top_p: float
    """Sample among the most probable tokens that together have this probability."""
    unfinished: bool
    """Whether answers that do not end within `max_new_tokens` are accepted, cut there."""
    seed: int


def answer(generator: Generator, stage: StageContext, data: Dataset, shard_rows: int) -> Dataset:
    """Write `data` with new answers into the stage; raises InputError when none can be used."""
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
    return result


def question(row: Row) -> Conversation:
    """Return a row's chat without its last turn if that is the assistant's."""
    return Conversation.of(row).first(len(_question_turns(row)))


def _question_turns(row: Row) -> list[dict[str, Any]]:
    """Return the row's messages that belong to its `question`."""
    turns: list[dict[str, Any]] = row["messages"]
    return turns[:-1] if turns and turns[-1]["role"] == "assistant" else turns


class Generator:
    """Answers shards of rows with a model, which is loaded for the first that is not finished."""

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
        """Answer batches of `batch_size` chats; finished shards are stored in `scratch`."""
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
        torch.manual_seed(self._sampling.seed + int(digest[:8], 16))
        journal = Journal(file.with_suffix(".journal"))
        done = [entry["answers"] for entry in journal.entries]
        if journal.entries and self._sampling.temperature > 0:
            self._restore_random_state(journal.entries[-1]["random"])
        for number, batch in enumerate(self._batches(order, prompts)):
            if number < len(done):
                batch_answers = [(text, problem) for text, problem in done[number]]
            else:
                batch_answers = self._generate([prompts[index] for index in batch])
                journal.append({"answers": batch_answers, "random": self._random_state()})
            for index, answer in zip(batch, batch_answers, strict=True):
                answers[index] = answer
        _write_answers(file, answers)
        journal.remove()
        return answers

    def _batches(self, order: list[int], prompts: list[list[int]]) -> list[list[int]]:
        """Return batches of row indices, in `order`."""
        size = self._batch_rows
        lengths = [len(prompts[index]) + self._sampling.max_new_tokens for index in order]
        return [
            [order[number] for number in group[start : start + size]]
            for group in answered_alike(self._model.config(), lengths)
            for start in range(0, len(group), size)
        ]

    def _random_state(self) -> str:
        """Return the random generator's state in base64, empty if nothing is sampled."""
        if self._sampling.temperature == 0:
            return ""
        device = self._load().device
        on_gpu = device.type == "cuda"
        state = torch.cuda.get_rng_state(device) if on_gpu else torch.get_rng_state()
        return base64.b64encode(state.numpy().tobytes()).decode()

    def _restore_random_state(self, encoded: str) -> None:
        device = self._load().device
        state = torch.frombuffer(bytearray(base64.b64decode(encoded)), dtype=torch.uint8)
        if device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        else:
            torch.set_rng_state(state)

    def _check_prompt(
        self, chat: Conversation, prompt: list[int] | UnusableChat
    ) -> tuple[list[int], str]:
        """Return a prompt's ids, and why it cannot be answered (empty when it can)."""
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
        candidates = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, *self._stops)
        padding = next((int(token) for token in candidates if token is not None), 0)
        input_ids = torch.full((len(prompts), width), padding)
        mask = torch.zeros_like(input_ids)
        for row, prompt in enumerate(prompts):
            input_ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        sampled = sampling.temperature > 0
        options = {"temperature": sampling.temperature, "top_p": sampling.top_p} if sampled else {}

        def generate(ids: torch.Tensor, mask: torch.Tensor, max_length: int) -> torch.Tensor:
            output: torch.Tensor = network.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_length - ids.shape[1],
                do_sample=sampled,
                top_k=0,
                pad_token_id=padding,
                **options,
            )
            return output

        input_ids, mask = input_ids.to(network.device), mask.to(network.device)
        max_length = width + sampling.max_new_tokens
        config = self._model.config()
        output = generate_through(config, input_ids, mask, max_length, self._stops, generate)
        return [self._decode(tokens) for tokens in output[:, width:].tolist()]

    def _decode(self, tokens: list[int]) -> Answer:
        """Return the text up to a stop token, and why it cannot be used."""
        end = next((i for i, token in enumerate(tokens) if token in self._stops), None)
        text = str(self._tokenizer.decode(tokens[:end], skip_special_tokens=True))
        if end is None and not self._sampling.unfinished:
            return text, f"the answer does not end within {self._sampling.max_new_tokens} tokens"
        # Training on the answer would encode a control token in it as a turn.
        with_controls = str(self._tokenizer.decode(tokens[:end], skip_special_tokens=False))
        if token := self._chat.controls.within(with_controls):
            return text, f"the answer holds the control token {token}"
        return text, "" if text.strip() else EMPTY

    def _load(self) -> Any:
        if self._network is None:
            self._network = self._model.load(self._dtype, self._device)
            ends = self._network.generation_config.eos_token_id
            stops = {*(ends if isinstance(ends, list) else [ends]), *self._chat.ends}
            self._stops = sorted((stops | {self._tokenizer.eos_token_id}) - {None})
            # Not the model's own sampling defaults, such as top_k or a repetition penalty.
            self._network.generation_config = GenerationConfig(eos_token_id=self._stops)
        return self._network


def _shards(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while shard := list(itertools.islice(rows, size)):
        yield shard


def _write_answers(file: Path, answers: list[Answer]) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(answers), encoding="utf-8")
    partial.replace(file)

"""Ways to judge the same rows with the same model: what each asks, and what it takes."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from storm_curation.judge.judge_prompt import JudgePrompt
from storm_curation.judge.rubric import ask, render_example
from storm_curation.judge.settings import JudgeSettings
from storm_inference.engines.engine import LabelLogs
from storm_inference.engines.transformers_engine import TransformersEngine
from storm_inference.prefix_tree import shared_length, tree_size
from storm_inference.servers.pool import Pool, Request
from storm_inference.servers.server import Server
from storm_inference.servers.server_engine import COMPLETIONS, HITS, QUERIES, ServerEngine
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from training_data import Chat

JSON_QUESTION = (
    "\n\nHow much could a student learn, from 1 (none) to 5 (outstanding), and is the instruction "
    "easy, medium or hard? Answer with JSON only, with the keys educational_value and difficulty."
)
ANSWER_TOKENS = 32
"""Of an answer in JSON."""
PATIENCE_SECONDS = 1800.0


@dataclasses.dataclass(frozen=True)
class Rows:
    """What is judged, as token ids."""

    questions: list[list[list[int]]]
    """`[row][question]`: prompts that one token answers."""
    labels: list[list[int]]
    """`[question][label]`: the tokens that can answer."""
    written: list[list[int]]
    """A prompt for each row that an answer in JSON ends."""


@dataclasses.dataclass(frozen=True)
class Taken:
    """What one way took for all rows."""

    seconds: float
    prefill: float
    """Tokens of prompts that were computed."""
    logs: LabelLogs = dataclasses.field(default_factory=list)
    """The labels' log-probabilities, where they were asked for."""


def prepare(model: Checkpoint, chats: Sequence[Chat], max_length: int) -> Rows:
    """Return the chats as prompts of the default rubric; raises ValueError if one is unusable."""
    settings = JudgeSettings(max_length=max_length)
    renderer = model.chat()
    prompt = JudgePrompt(settings, renderer)
    turns: list[list[dict[str, Any]]] = [
        [{"role": "user", "content": chat.question}, {"role": "assistant", "content": chat.answer}]
        for chat in chats
    ]
    prompted = prompt.prepare([{"messages": messages} for messages in turns])
    if unusable := [row.problem or row.status for row in prompted if row.status != "ok"]:
        raise ValueError(f"rows that cannot be judged: {unusable[:3]}")
    examples = [render_example(settings.example, messages) for messages in turns]
    asked = [Conversation(ask(settings.head, example, JSON_QUESTION)) for example in examples]
    written = [list(ids) for ids in renderer.prompts(asked) if isinstance(ids, list)]
    if len(written) < len(turns):
        raise ValueError("rows that cannot be asked for JSON")
    return Rows([row.prompts for row in prompted], prompt.answer_ids, written)


def through_transformers(engine: TransformersEngine, rows: Rows) -> Taken:
    """Score as a judge's stage does: both questions of a row in one sequence."""
    started = time.perf_counter()
    logs = engine.score_labels(rows.questions, rows.labels)
    seconds = time.perf_counter() - started
    skip = shared_length([prompt for row in rows.questions for prompt in row])
    return Taken(seconds, skip + sum(tree_size(row, skip) for row in rows.questions), logs)


class Served:
    """A server of vLLM that is asked in different ways, by as many requests at once in each."""

    def __init__(self, server: Server, requests: int) -> None:
        """Keep `requests` requests before the server."""
        self._server, self._requests = server, requests

    def paired(self, rows: Rows) -> Taken:
        """Ask as a judge's stage does: the questions of a row beside each other."""
        return self._measure(
            lambda pool: ServerEngine(pool, []).score_labels(rows.questions, rows.labels)
        )

    def apart(self, rows: Rows) -> Taken:
        """Ask all rows one question, then all rows the other: a request for each answer.

        The second pass does not meet the first one's cache, which a whole data set overflows.
        """
        passes = [
            self._each(Rows([[row[question]] for row in rows.questions], [labels], []))
            for question, labels in enumerate(rows.labels)
        ]
        logs = [
            [labels for (labels,) in row] for row in zip(*(one.logs for one in passes), strict=True)
        ]
        return Taken(sum(p.seconds for p in passes), sum(p.prefill for p in passes), logs)

    def row_by_row(self, rows: Rows) -> Taken:
        """Ask a request for each answer, those of a row after each other."""
        return self._each(rows)

    def _each(self, rows: Rows) -> Taken:
        """Ask every question of every row by a request of its own, in order."""
        requests = [
            _label_request(prompt, labels)
            for row in rows.questions
            for prompt, labels in zip(row, rows.labels, strict=True)
        ]
        count = len(rows.labels)

        def ask_all(pool: Pool) -> LabelLogs:
            found = pool.ask(requests, _ignore)
            return [found[start : start + count] for start in range(0, len(found), count)]

        return self._measure(ask_all)

    def written(self, rows: Rows, tokens: int = ANSWER_TOKENS) -> Taken:
        """Have an answer of so many tokens written to each row, both questions in one."""
        body = {"max_tokens": tokens, "min_tokens": tokens, "ignore_eos": True, "temperature": 0}

        def read(answer: Any) -> None:
            assert answer["usage"]["completion_tokens"] == tokens, answer["usage"]

        requests = [Request(COMPLETIONS, {"prompt": ids, **body}, read) for ids in rows.written]

        def ask_all(pool: Pool) -> LabelLogs:
            pool.ask(requests, _ignore)
            return []

        return self._measure(ask_all)

    def _measure(self, ask_all: Callable[[Pool], LabelLogs]) -> Taken:
        """Time the asking, from an empty cache on."""
        pool = _Salted([self._server], requests=self._requests, patience=PATIENCE_SECONDS)
        before = self._server.counters(QUERIES, HITS)
        started = time.perf_counter()
        logs = ask_all(pool)
        seconds = time.perf_counter() - started
        queries, hits = (
            after - early
            for after, early in zip(self._server.counters(QUERIES, HITS), before, strict=True)
        )
        assert queries > 0, "the server counts no tokens of prompts"
        return Taken(seconds, queries - hits, logs)


class _Salted(Pool):
    """A pool whose requests share nothing with those of other pools."""

    def ask(self, requests: Sequence[Request], advance: Callable[[int], None]) -> list[Any]:
        salt = secrets.token_hex(8)
        salted = [
            dataclasses.replace(request, body={**request.body, "cache_salt": salt})
            for request in requests
        ]
        return super().ask(salted, advance)


def _label_request(prompt: Sequence[int], labels: Sequence[int]) -> Request:
    """Return what a judge's stage asks of one prompt, as a request of its own."""
    body = {
        "prompt": list(prompt),
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 1,
        "logprob_token_ids": list(labels),
        "return_tokens_as_token_ids": True,
    }

    def read(answer: Any) -> list[float]:
        (given,) = answer["choices"][0]["logprobs"]["top_logprobs"]
        return [float(given[f"token_id:{label}"]) for label in labels]

    return Request(COMPLETIONS, body, read)


def _ignore(rows: int) -> None:
    """Hear of finished rows."""

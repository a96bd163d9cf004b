"""The engines `vllm` and `server`: a pool of servers that receives prompts as token ids."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from storm_inference.engines.engine import LabelLogs, Sampling, Tokens
from storm_inference.journal import Journal
from storm_inference.servers.pool import Pool, Request, Unreadable

COMPLETIONS = "/v1/completions"
QUERIES, HITS = "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total"
_ROWS = 4
"""Rows per request."""
_ROUNDING = 1e-3
"""By how much the labels' probabilities, and their sum, may exceed 1."""


class ServerEngine:
    """Servers of a checkpoint."""

    def __init__(self, pool: Pool, stops: list[int]) -> None:
        """Use the servers of `pool`, which `close` closes; answers end at the tokens `stops`."""
        self.stops = stops
        self._pool = pool
        self._servers = list(pool.servers)
        self._before = {server: server.counters(QUERIES, HITS) for server in self._servers}

    def score_labels(
        self,
        rows: Sequence[Sequence[Tokens]],
        labels: Sequence[Tokens],
        advance: Callable[[int], None] = lambda rows: None,
        journal: Journal | None = None,
    ) -> LabelLogs:
        """Return the labels' log-probabilities; all questions of a row are in one request.

        They are neighbours in the server's queue, so their common prefix is computed once. The
        journal is not used: computing a shard again is cheaper than recording its batches.
        """
        label_ids = sorted({label for ids in labels for label in ids})
        starts = range(0, len(rows), _ROWS)
        requests = [
            Request(
                COMPLETIONS,
                {
                    "prompt": [list(p) for row in rows[start : start + _ROWS] for p in row],
                    "max_tokens": 1,
                    "temperature": 0,
                    "logprobs": 1,
                    "logprob_token_ids": label_ids,
                    "return_tokens_as_token_ids": True,
                },
                _LabelReader(labels, len(rows[start : start + _ROWS])),
                rows=len(rows[start : start + _ROWS]),
            )
            for start in starts
        ]
        return [row for rows_ in self._pool.ask(requests, advance) for row in rows_]

    def generate(
        self,
        prompts: Sequence[Tokens],
        sampling: Sampling,
        advance: Callable[[int], None] = lambda answers: None,
    ) -> list[list[int]]:
        """Return an answer to each prompt; samples depend on the seed and the prompt's index."""
        body: dict[str, Any] = {
            "max_tokens": sampling.max_new_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop_token_ids": self.stops,
            "return_token_ids": True,
            "skip_special_tokens": False,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        requests = [
            Request(
                COMPLETIONS,
                {**body, "prompt": list(prompt), "seed": (sampling.seed + index) % 2**31},
                self._read_answer,
            )
            for index, prompt in enumerate(prompts)
        ]
        return self._pool.ask(requests, advance)

    def _read_answer(self, answer: Any) -> list[int]:
        """Return an answer's token ids, with the stop token if it ended."""
        (choice,) = _choices(answer, 1)
        tokens, reason = choice.get("token_ids"), choice.get("finish_reason")
        if not _is_tokens(tokens) or reason not in ("stop", "length"):
            raise Unreadable(f"an answer without token ids or finish_reason: {choice!s:.200}")
        end = next((i for i, token in enumerate(tokens) if token in self.stops), None)
        if end is not None:
            return list(tokens[: end + 1])
        return [*tokens, self.stops[0]] if reason == "stop" and self.stops else list(tokens)

    def random_state(self) -> str:
        """Return an empty string: samples depend only on their seed."""
        return ""

    def restore(self, random: str) -> None:
        """Do nothing."""

    def health(self) -> str:
        """Return what is wrong with the servers in use; empty if nothing is."""
        return "; ".join(filter(None, (server.problem() for server in self._pool.servers)))

    def figures(self) -> dict[str, float]:
        """Return the number of prompt tokens, and the hit rate of the servers' prefix caches.

        A server that ended or was restarted no longer tells, and is left out.
        """
        queries = hits = 0.0
        for server, before in self._before.items():
            after = server.counters(QUERIES, HITS)
            if after[0] >= before[0]:
                queries += after[0] - before[0]
                hits += after[1] - before[1]
        return {"prompt_tokens": queries, "prefix_hit_rate": hits / queries} if queries > 0 else {}

    def close(self) -> None:
        """Close the connections, and end the servers that were started."""
        for server in self._servers:
            server.close()


class _LabelReader:
    """Parses the labels' log-probabilities in a response, `[row][question][label]`."""

    def __init__(self, labels: Sequence[Tokens], rows: int) -> None:
        self._labels, self._rows = labels, rows

    def __call__(self, answer: Any) -> LabelLogs:
        count = len(self._labels)
        choices = _choices(answer, self._rows * count)
        return [
            [
                self._read(choices[row * count + question], ids)
                for question, ids in enumerate(self._labels)
            ]
            for row in range(self._rows)
        ]

    def _read(self, choice: Any, ids: Tokens) -> list[float]:
        try:
            (given,) = choice["logprobs"]["top_logprobs"]
            logs = [float(given[f"token_id:{token}"]) for token in ids]
        except (KeyError, TypeError, ValueError) as error:
            text = f"an answer without the labels' log-probabilities ({error!r}): {choice!s:.200}"
            raise Unreadable(text) from error
        finite = all(math.isfinite(value) and value <= _ROUNDING for value in logs)
        if not finite or math.fsum(map(math.exp, logs)) > 1 + _ROUNDING:
            raise Unreadable(f"invalid log-probabilities: {logs}")
        return logs


def _choices(answer: Any, count: int) -> list[Any]:
    """Return the choices of a response in the order of its prompts; raises Unreadable."""
    try:
        choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
        indices = [int(choice["index"]) for choice in choices]
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"an invalid response ({error!r}): {answer!s:.200}") from error
    if indices != list(range(count)):
        raise Unreadable(f"{count} answers were requested, {len(indices)} were returned")
    return choices


def _is_tokens(tokens: Any) -> bool:
    return isinstance(tokens, list) and all(type(token) is int and token >= 0 for token in tokens)

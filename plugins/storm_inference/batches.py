"""Batches of requests that workers divide among themselves, whatever their number."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from storm_inference.journal import Journal
from storm_inference.shards import Shards

SHARDS = 64
"""The most shards of a call's batches: enough for a node's devices to end at about one time."""
Batch = Sequence[int]
"""Indices of requests that are computed together."""


def shards_of(batches: Sequence[Batch]) -> list[list[Batch]]:
    """Return batches in a row as at most 64 shards."""
    size = -(-len(batches) // SHARDS)
    return [list(batches[start : start + size]) for start in range(0, len(batches), size or 1)]


def answer_batches(
    shards: Shards,
    digest: str,
    divided: Sequence[Sequence[Batch]],
    answer: Callable[[Batch], Sequence[Any]],
    advance: Callable[[int], None],
) -> list[Any]:
    """Return the answer to every request, a JSON value, in the order of the requests.

    `divided` are the batches of each shard, in which every request is once; `digest` is that of
    requests and batches. Finished shards are not computed again, those of other workers are waited
    for: `advance` is called with their numbers of requests.
    """
    parts = {f"{digest}-{number}": part for number, part in enumerate(divided)}

    def compute(part: Sequence[Batch], journal: Journal) -> list[Any]:
        return [list(answer(batch)) for batch in part]

    computes = {name: functools.partial(compute, part) for name, part in parts.items()}
    found: dict[int, Any] = {}
    for name, answers in shards.each(computes):
        for batch, given in zip(parts[name], answers, strict=True):
            found |= zip(batch, given, strict=True)
        if name not in shards.made:
            advance(sum(map(len, parts[name])))
    return [found[index] for index in range(len(found))]


def digest_of(values: Iterable[Any]) -> str:
    """Return a digest of requests, and of what else determines their answers: JSON values."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(json.dumps(value, default=str).encode() + b"\n")
    return digest.hexdigest()

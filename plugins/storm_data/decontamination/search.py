"""The search for questions in rows: which rows hold which share of a question's n-grams."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from storm_data.decontamination.ngram_index import Ints, NgramIndex

_SPREAD = 1.5
"""A question's n-grams must stand within this many times its length."""
_AT_ONCE = 2_000_000
"""The most pairs of an n-gram and a question that are counted at once."""
_WORDS = 500_000
"""About so many words of rows are looked up at once."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How many of a question's different n-grams a text must have to hold it."""

    share: float
    """At least this share of them,"""
    least: int = 1
    """and no fewer than these, or all where the question has fewer."""

    def needed(self, totals: Ints) -> Ints:
        """Return how many are needed of questions with so many n-grams."""
        counts = np.maximum(np.ceil(totals * self.share - 1e-9), np.minimum(totals, self.least))
        needed: Ints = np.maximum(counts, 1).astype(np.int64)
        return needed


@dataclasses.dataclass(frozen=True)
class Match:
    """A question that a text holds, as a whole or in part."""

    text: int
    """The number of the text."""
    question: int
    """The number of the question in the index."""
    share: float
    """The share of the question's n-grams."""
    first: int
    """The first of the matching words of the text, from 0."""
    end: int
    """The word after the last one."""


def search(index: NgramIndex, texts: Iterable[str], limits: Limits) -> Iterator[Match]:
    """Yield the questions of which texts hold enough n-grams near each other.

    Matches come text by text, in the order of the questions.
    """
    needed = limits.needed(index.totals)
    batch: list[Ints] = []
    start, size = 0, 0
    for text in texts:
        batch.append(index.numbers(text))
        size += len(batch[-1])
        if size >= _WORDS:
            yield from _search(index, batch, start, needed)
            start, size, batch = start + len(batch), 0, []
    yield from _search(index, batch, start, needed)


def _search(index: NgramIndex, texts: Sequence[Ints], first: int, needed: Ints) -> Iterator[Match]:
    """Yield the matches of a batch of texts, of which the first has the number `first`."""
    if not texts:
        return
    gap = np.zeros(1, np.int64)  # an unknown word: no n-gram goes over two texts
    numbers = np.concatenate([part for text in texts for part in (text, gap)])
    starts = np.cumsum([0] + [len(text) + 1 for text in texts])
    positions, ngrams = index.look_up(numbers)
    edges = np.searchsorted(positions, starts)
    pairs = np.concatenate([[0], np.cumsum(index.occurrences(ngrams))])[edges]
    text = 0
    while text < len(texts):
        end = int(np.searchsorted(pairs, pairs[text] + _AT_ONCE, side="right")) - 1
        end = min(max(end, text + 1), len(texts))
        chosen = slice(edges[text], edges[end])
        part = index, starts, positions[chosen], ngrams[chosen], first, needed
        whole = pairs[end] - pairs[text] <= _AT_ONCE
        yield from _matches(*part) if whole else _matches_in_parts(*part)
        text = end


def _matches_in_parts(
    index: NgramIndex, starts: Ints, positions: Ints, ngrams: Ints, first: int, needed: Ints
) -> Iterator[Match]:
    """Yield the matches of one text, of whose n-grams only some can be counted at once.

    The parts overlap by as many words as the longest question may be spread over.
    """
    pairs = np.concatenate([[0], np.cumsum(index.occurrences(ngrams))])
    reach = math.ceil(index.longest * _SPREAD)
    best: dict[int, Match] = {}
    begin = end = 0
    while end < len(positions):
        fit = int(np.searchsorted(pairs, pairs[begin] + _AT_ONCE, side="right")) - 1
        end = max(fit, int(np.searchsorted(positions, positions[begin] + 2 * reach)))
        part = slice(begin, end)
        for match in _matches(index, starts, positions[part], ngrams[part], first, needed):
            if match.question not in best or match.share > best[match.question].share:
                best[match.question] = match
        if end < len(positions):
            begin = int(np.searchsorted(positions, positions[end] - reach))
    yield from (best[question] for question in sorted(best))


def _matches(
    index: NgramIndex, starts: Ints, positions: Ints, ngrams: Ints, first: int, needed: Ints
) -> Iterator[Match]:
    """Yield the matches among n-grams that were found at positions."""
    which, questions = index.owners(ngrams)
    texts = np.searchsorted(starts, positions, side="right") - 1
    pairs = texts[which] * len(index.questions) + questions
    order = np.lexsort((positions[which], ngrams[which], pairs))
    pairs, which = pairs[order], which[order]
    known = ngrams[which]
    new = np.ones(len(pairs), np.bool_)
    new[1:] = (pairs[1:] != pairs[:-1]) | (known[1:] != known[:-1])
    every, begins = np.unique(pairs, return_index=True)
    different = np.add.reduceat(new, begins) if len(begins) else begins
    ends = np.append(begins[1:], len(pairs))
    for number in np.flatnonzero(different >= needed[every % len(index.questions)]):
        text, question = divmod(int(every[number]), len(index.questions))
        own = which[begins[number] : ends[number]]
        where = np.sort(positions[own])
        by_place = dict(zip(positions[own].tolist(), ngrams[own].tolist(), strict=True))
        width = math.ceil(int(index.lengths[question]) * _SPREAD) - index.n + 1
        found, low, high = _densest(where.tolist(), by_place, width)
        if found >= needed[question]:
            yield Match(
                text=first + text,
                question=question,
                share=found / int(index.totals[question]),
                first=low - int(starts[text]),
                end=high - int(starts[text]) + index.n,
            )


def _densest(where: list[int], ngrams: dict[int, int], width: int) -> tuple[int, int, int]:
    """Return the most different n-grams within a window, and the places of the first and last."""
    counts: dict[int, int] = {}
    best = (0, 0, 0)
    left = 0
    for place in where:
        counts[ngrams[place]] = counts.get(ngrams[place], 0) + 1
        while place - where[left] >= width:
            gone = ngrams[where[left]]
            counts[gone] -= 1
            if not counts[gone]:
                del counts[gone]
            left += 1
        if len(counts) > best[0]:
            best = (len(counts), where[left], place)
    return best

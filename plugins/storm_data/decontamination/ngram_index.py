"""An index of the n-grams of questions, in which the n-grams of rows are looked up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_data.decontamination.normal_form import words
from storm_data.questions.questions import Question

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_BITS = 22
"""A table of 2^22 bits says of most n-grams of rows that no question has them."""

NO_TEXT = "without a text"
TOO_SHORT = "with fewer than n words"
TEMPLATE = "of text that is in many questions alone"


class NgramIndex:
    """Which questions have an n-gram, by its 64-bit hash.

    Two n-grams of different words have the same hash with a probability of about 5e-20; among
    10^8 n-grams of rows and 10^6 of questions this happens once in 200,000 searches.
    """

    def __init__(self, questions: Iterable[Question], n: int, most_questions: int) -> None:
        """Index the n-grams of questions; those that more questions have count as a template."""
        self.n = n
        self.questions = list(questions)
        self.left_out: dict[str, list[Question]] = {NO_TEXT: [], TOO_SHORT: [], TEMPLATE: []}
        """Questions that cannot be found, by reason."""
        self.longest = 0
        """The most words of a question."""
        self._ids: dict[str, int] = {}
        count = len(self.questions)
        self.lengths: Ints = np.zeros(count, np.int64)
        """Words of each question."""
        read = [words(question.text) for question in self.questions]
        for each in read:
            for word in each:
                self._ids.setdefault(word, len(self._ids) + 1)
        self._values = _mixed(len(self._ids) + 1)
        per_question: list[Hashes] = []
        for number, each in enumerate(read):
            self.lengths[number] = len(each)
            self.longest = max(self.longest, len(each))
            hashes, _ = self._hashes(np.array([self._ids[word] for word in each], np.int64))
            per_question.append(np.unique(hashes))
        self._post(per_question, most_questions)
        for number, question in enumerate(self.questions):
            if not read[number]:
                self.left_out[NO_TEXT].append(question)
            elif len(read[number]) < n:
                self.left_out[TOO_SHORT].append(question)
            elif not self.totals[number]:
                self.left_out[TEMPLATE].append(question)

    def _post(self, per_question: Sequence[Hashes], most_questions: int) -> None:
        """Sort the n-grams, with the numbers of the questions that have each."""
        owners = np.repeat(np.arange(len(per_question)), [len(h) for h in per_question])
        every = np.concatenate([*per_question, np.empty(0, np.uint64)])
        order = np.argsort(every, kind="stable")
        keys, counts = np.unique(every[order], return_counts=True)
        kept = counts <= most_questions
        self.template_ngrams = int((~kept).sum())
        """n-grams that are not searched for, as too many questions have them."""
        self._owners: Ints = owners[order][np.repeat(kept, counts)]
        self._keys: Hashes = keys[kept]
        self._counts: Ints = counts[kept]
        self._starts: Ints = np.concatenate([[0], np.cumsum(self._counts)])
        self.totals: Ints = np.bincount(self._owners, minlength=len(per_question))
        """Different n-grams of each question that are searched for."""
        self._table = np.zeros(1 << _BITS, np.bool_)
        self._table[self._keys >> np.uint64(64 - _BITS)] = True

    def numbers(self, text: str) -> Ints:
        """Return the words of a text as numbers, 0 for those that no question has."""
        known = self._ids
        return np.array([known.get(word, 0) for word in words(text)], np.int64)

    def look_up(self, numbers: Ints) -> tuple[Ints, Ints]:
        """Return the positions of n-grams that questions have, and the n-grams' numbers."""
        hashes, positions = self._hashes(numbers)
        likely = self._table[hashes >> np.uint64(64 - _BITS)]
        hashes, positions = hashes[likely], positions[likely]
        if not len(hashes):
            return positions, positions
        found = np.minimum(np.searchsorted(self._keys, hashes), len(self._keys) - 1)
        same = self._keys[found] == hashes
        return positions[same], found[same]

    def owners(self, ngrams: Ints) -> tuple[Ints, Ints]:
        """Return for n-grams (index into `ngrams`, question), one of each question that has it."""
        counts = self._counts[ngrams]
        which = np.repeat(np.arange(len(ngrams)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        offsets = np.arange(len(which)) - before
        return which, self._owners[self._starts[ngrams][which] + offsets]

    def occurrences(self, ngrams: Ints) -> Ints:
        """Return how many questions have each of the n-grams."""
        return self._counts[ngrams]

    def _hashes(self, numbers: Ints) -> tuple[Hashes, Ints]:
        """Return the hashes of all n-grams without an unknown word, and where they begin."""
        size = len(numbers) - self.n + 1
        if size <= 0:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        unknown = np.concatenate([[0], np.cumsum(numbers == 0)])
        positions: Ints = np.flatnonzero(unknown[self.n :] == unknown[: -self.n])
        hashes = np.zeros(len(positions), np.uint64)
        for offset in range(self.n):
            hashes = hashes * _FACTOR + self._values[numbers[positions + offset]]
            hashes ^= hashes >> np.uint64(29)
        return hashes, positions


def _mixed(count: int) -> Hashes:
    """Return a 64-bit value for each of the numbers from 0 (Steele et al. 2014, splitmix64)."""
    value: Any = np.arange(1, count + 1, dtype=np.uint64) * _FACTOR
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = value ^ (value >> np.uint64(31))
    return mixed

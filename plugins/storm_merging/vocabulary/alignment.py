"""Models with different vocabularies, and what makes one vocabulary of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from storm_exp import InputError
from storm_merging.vocabulary.merged_vocabulary import (
    MergedVocabulary,
    TokenizerTokens,
    merged_vocabulary,
)
from storm_merging.vocabulary.row_sources import RowSources, VocabularyMatrix, row_sources
from storm_merging.vocabulary.settings import VocabularySettings
from storm_models.families.architecture import EMBEDDING

_EXAMPLES = 5
SET = "rows that are set for it"
"""What a model has for tokens whose rows are forced."""


@dataclasses.dataclass(frozen=True)
class Alignment:
    """The vocabulary of a merge, and every model's rows in it."""

    vocabulary: MergedVocabulary
    matrices: dict[int, dict[str, RowSources]]
    """{model's place: {matrix: its rows}}"""

    def unchanged(self, stored: Sequence[int]) -> bool:
        """Return whether all rows stay where they are, and none is left out or added."""
        return not self.vocabulary.entries and all(
            not sources.padding
            and sources.rows == [((model, row),) for row in range(stored[model])]
            for model, matrices in self.matrices.items()
            for sources in matrices.values()
        )

    def record(self) -> dict[str, Any]:
        """Return what is told of it in `merge.json`: models are numbers, from 1."""
        filled: dict[str, dict[str, Any]] = {}
        for model, matrices in sorted(self.matrices.items()):
            for sources in matrices.values():
                forced = [(SET, sources.forced)] if sources.forced else []
                for source, tokens in [*sources.filled.items(), *forced]:
                    entry = {"model": model + 1, "has": source, "tokens": len(tokens)}
                    filled.setdefault(str(entry), {**entry, "first": tokens[:_EXAMPLES]})
        return {
            "tokenizer_of": self.vocabulary.keeper + 1,
            "tokens": len(self.vocabulary.ids),
            "rows": self.vocabulary.rows,
            "added": len(self.vocabulary.entries),
            "filled": list(filled.values()),
        }


def align(
    settings: VocabularySettings,
    tokenizers: Sequence[TokenizerTokens],
    stored: Sequence[int],
    matrices: Sequence[VocabularyMatrix],
    keeper: int,
) -> Alignment:
    """Return the vocabulary of a merge, and where its rows come from.

    `stored` is the number of rows of every model's embedding. Raises InputError, naming matrix and
    token, where a row cannot be had.
    """
    vocabulary = merged_vocabulary(settings, tokenizers, keeper)
    rules = settings.rules(len(tokenizers))
    ids = [each.ids for each in tokenizers]
    rows: dict[int, dict[str, RowSources]] = {}
    for matrix in matrices:
        for model, sources in row_sources(matrix, vocabulary, ids, stored, rules).items():
            rows.setdefault(model, {})[matrix.name] = sources
    return Alignment(vocabulary, rows)


def check_same(tokenizers: Mapping[int, TokenizerTokens]) -> None:
    """Raise InputError for models, by their places, that number their tokens differently."""
    (first, ours), *others = tokenizers.items()
    for place, theirs in others:
        problem = f"model {first + 1} and model {place + 1} cannot be merged row by row"
        advice = (
            "write tokenizer_source: base or union (merger.tokenizer.source=…), so that rows "
            "follow the tokens"
        )
        for token, row in sorted({**theirs.ids, **ours.ids}.items(), key=lambda pair: pair[1]):
            if ours.ids.get(token) != theirs.ids.get(token):
                found = [_token_at(each, row) for each in (ours, theirs)]
                raise InputError(
                    f"{problem}: row {row} of {EMBEDDING} is {found[0]} in one, {found[1]} in the "
                    f"other; {advice}"
                )
        if ours.tokens.merges != theirs.tokens.merges:
            raise InputError(
                f"{problem}: their tokenizers split text differently, with the same tokens; "
                f"{advice}"
            )


def _token_at(tokenizer: TokenizerTokens, row: int) -> str:
    found = [token for token, place in tokenizer.ids.items() if place == row]
    return f"the token {found[0]!r}" if found else "no token"

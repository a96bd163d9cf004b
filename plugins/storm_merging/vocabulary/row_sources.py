"""Where every row of a model's embedding or head comes from, in the vocabulary of a merge."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from storm_exp import InputError
from storm_merging.vocabulary.merged_vocabulary import MergedVocabulary
from storm_merging.vocabulary.settings import TokenRule

Row = tuple[int, int]
"""(model's place, its row)"""


@dataclasses.dataclass(frozen=True)
class VocabularyMatrix:
    """A matrix with a row for each token, and the models that it is merged of."""

    name: str
    models: tuple[int, ...]
    """The sources' places among the models."""
    base: int | None
    """The base's place among the models."""


@dataclasses.dataclass(frozen=True)
class RowSources:
    """One model's rows of one matrix."""

    rows: list[tuple[Row, ...]]
    """For each row, those whose mean it is: one, several, or none for zeros."""
    padding: int
    """Further rows, which are the mean of the others."""
    filled: dict[str, list[str]]
    """{where rows of tokens that it lacks come from: the tokens}"""
    forced: list[str]
    """Tokens that it has, with a row of another one."""


def row_sources(
    matrix: VocabularyMatrix,
    vocabulary: MergedVocabulary,
    ids: Sequence[Mapping[str, int]],
    stored: Sequence[int],
    rules: Mapping[str, TokenRule],
) -> dict[int, RowSources]:
    """Return the rows of every model that a matrix is merged of, by its place.

    `ids` is {token: id} and `stored` the number of rows of every model. Rows are filled as mergekit
    0.1.5 fills them: a token that a model lacks has the row that a rule names; without one, that of
    the only model that has it, that of the base, or the mean of those that have it; zeros where
    none has it. Raises InputError, naming matrix and token, for a row that a model lacks.
    """
    _check_stored(matrix, ids, stored)
    donors: dict[str, tuple[Row, ...]] = {}
    for token in vocabulary.ids:
        rule = rules.get(token)
        if rule is not None:
            donors[token] = _of_rule(matrix, token, rule, ids, stored)
        else:
            donors[token] = _default(matrix, token, ids)
    result = {}
    for model in matrix.models:
        rows = _unused(matrix, vocabulary, stored, model)
        filled: dict[str, list[str]] = collections.defaultdict(list)
        forced: list[str] = []
        for token, place in vocabulary.ids.items():
            own, rule = ids[model].get(token), rules.get(token)
            if own is not None and not (rule and rule.force):
                rows[place] = ((model, own),)
                continue
            rows[place] = donors[token]
            if own is None:
                filled[_told(donors[token])].append(token)
            else:
                forced.append(token)
        padding = vocabulary.rows - vocabulary.size
        result[model] = RowSources(rows, padding, dict(filled), forced)
    return result


def _default(
    matrix: VocabularyMatrix, token: str, ids: Sequence[Mapping[str, int]]
) -> tuple[Row, ...]:
    having = tuple((model, ids[model][token]) for model in matrix.models if token in ids[model])
    of_base = tuple(row for row in having if row[0] == matrix.base)
    return of_base or having


def _of_rule(
    matrix: VocabularyMatrix,
    token: str,
    rule: TokenRule,
    ids: Sequence[Mapping[str, int]],
    stored: Sequence[int],
) -> tuple[Row, ...]:
    if rule.model is None:
        return ()
    where = f"tokenizer.tokens.{token}"
    if rule.model not in matrix.models:
        raise InputError(
            f"{where}: its row is to come from model {rule.model + 1}, of which {matrix.name} is "
            "not merged"
        )
    if rule.token_id is not None:
        if rule.token_id >= stored[rule.model]:
            raise InputError(
                f"{where}: {matrix.name} of model {rule.model + 1} has {stored[rule.model]} rows, "
                f"and no row {rule.token_id}"
            )
        return ((rule.model, rule.token_id),)
    wanted = token if rule.token is None else rule.token
    if wanted not in ids[rule.model]:
        raise InputError(
            f"{where}: {matrix.name} of model {rule.model + 1} has no row for it: its tokenizer "
            f"has no token {wanted!r}"
        )
    return ((rule.model, ids[rule.model][wanted]),)


def _unused(
    matrix: VocabularyMatrix, vocabulary: MergedVocabulary, stored: Sequence[int], model: int
) -> list[tuple[Row, ...]]:
    """Return rows for ids without a token: those of the tokenizer's model."""
    keeper = vocabulary.keeper if vocabulary.keeper in matrix.models else model
    return [((keeper, row),) if row < stored[keeper] else () for row in range(vocabulary.size)]


def _check_stored(
    matrix: VocabularyMatrix, ids: Sequence[Mapping[str, int]], stored: Sequence[int]
) -> None:
    for model in matrix.models:
        if not stored[model]:
            raise InputError(f"model {model + 1} has no {matrix.name}, whose rows are its tokens'")
        token, row = max(ids[model].items(), key=lambda pair: pair[1])
        if row >= stored[model]:
            raise InputError(
                f"{matrix.name} of model {model + 1} has {stored[model]} rows, and its tokenizer "
                f"the token {token!r} with the id {row}"
            )


def _told(rows: tuple[Row, ...]) -> str:
    if not rows:
        return "zeros"
    if len(rows) > 1:
        return "the mean rows of models " + ", ".join(str(model + 1) for model, _ in rows)
    return f"the rows of model {rows[0][0] + 1}"

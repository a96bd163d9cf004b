"""The settings of a merge's vocabulary."""

from __future__ import annotations

import dataclasses
from typing import Any

from storm_exp import SettingError, did_you_mean, setting

SAME, BASE, UNION, ZERO = "same", "base", "union", "zero"
_RULE = ("source", "force")
_ROW = ("model", "token", "token_id")


@dataclasses.dataclass(frozen=True)
class TokenRule:
    """Where a token's row comes from, for models that lack it."""

    model: int | None = None
    """The model's place, from 0; None: a row of zeros."""
    token: str | None = None
    """The token whose row it is, if it is another one."""
    token_id: int | None = None
    """That row's number instead."""
    force: bool = False
    """Whether models that have the token get this row as well."""


@dataclasses.dataclass(kw_only=True)
class VocabularySettings:
    """The vocabulary of a merge, as mergekit's `tokenizer` has it."""

    source: str = SAME
    """same: all models must have the same tokens. base: the tokenizer of the base, or of the first
    model. union: the base's, with the tokens that only others have. Or a model's number, from 1.
    Rows of embeddings and heads follow the tokens; a token that a model lacks has the row of the
    one model that has it, of the base, or the mean of those that have it, and 0 where none has."""

    tokens: dict[str, Any] = setting({})
    """Rows of single tokens, which are added if they are new: {TOKEN: {source: 1, force: false}}.
    The source is a model's number, `zero`, or {model: 1, token: …} or {model: 1, token_id: …} for
    the row of another token. `force` sets the row of models that have the token, too."""

    pad_to_multiple_of: int = setting(1, at_least=1, unit="tokens")
    """The number of rows is a multiple of this; further rows are the mean of all others."""

    def rules(self, models: int) -> dict[str, TokenRule]:
        """Return the rules of single tokens, for so many models; raises SettingError."""
        return {token: _read_rule(token, rule, models) for token, rule in self.tokens.items()}

    def place(self, main: int, models: int) -> int | None:
        """Return the place of the model whose tokenizer the merge has, None for all the same.

        `main` is that of the base, or of the first model. Raises SettingError.
        """
        if self.source in (BASE, UNION):
            return main
        if self.source == SAME:
            return main if self.tokens or self.pad_to_multiple_of > 1 else None
        if self.source.isdecimal() and 1 <= int(self.source) <= models:
            return int(self.source) - 1
        known = (SAME, BASE, UNION)
        problem = f"must be {', '.join(known)} or the number of a model, 1 to {models}"
        near = did_you_mean(self.source, known)
        raise SettingError("tokenizer.source", self.source, problem + near)


def _read_rule(token: str, rule: Any, models: int) -> TokenRule:
    where = f"tokenizer.tokens.{token}"
    _check_keys(rule, _RULE, where)
    source, force = rule.get("source"), rule.get("force", False)
    if not isinstance(force, bool):
        raise SettingError(f"{where}.force", force, "must be true or false")
    if source == ZERO:
        return TokenRule(force=force)
    if not isinstance(source, dict):
        return TokenRule(_model(source, models, f"{where}.source"), force=force)
    _check_keys(source, _ROW, f"{where}.source")
    other, number = source.get("token"), source.get("token_id")
    if (other is None) == (number is None):
        raise SettingError(f"{where}.source", source, "needs either token or token_id")
    if number is not None and (type(number) is not int or number < 0):
        raise SettingError(f"{where}.source.token_id", number, "must be a row's number, from 0")
    model = _model(source.get("model"), models, f"{where}.source.model")
    return TokenRule(model, None if other is None else str(other), number, force)


def _model(value: Any, models: int, where: str) -> int:
    if type(value) is not int or not 1 <= value <= models:
        raise SettingError(where, value, f"must be the number of a model, 1 to {models}, or {ZERO}")
    return value - 1


def _check_keys(value: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(value, dict):
        raise SettingError(where, value, f"must hold {', '.join(keys)}")
    for key in value:
        if key not in keys:
            raise SettingError(where, key, f"is no key{did_you_mean(str(key), keys)}")

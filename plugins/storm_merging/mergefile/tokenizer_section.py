"""What a mergekit YAML says of the tokenizer."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from storm_exp import InputError, did_you_mean
from storm_merging.mergefile.model_reference import ModelReference, read_reference

BASE, UNION = "base", "union"
_KEYS = ("source", "tokens", "pad_to_multiple_of")
_TOKEN = ("source", "force")
_KINDS = {"zero": ("kind",), "model_token": ("kind", "model", "token", "token_id")}


@dataclasses.dataclass(frozen=True)
class TokenRow:
    """Where a token's row comes from."""

    model: ModelReference | None
    """None: a row of zeros."""
    token: str | None = None
    """The token whose row it is, if it is another one."""
    token_id: int | None = None
    """That row's number instead."""
    force: bool = False
    """Whether models that have the token get this row as well."""


@dataclasses.dataclass(frozen=True)
class TokenizerSection:
    """The tokens of a merge."""

    source: str | ModelReference
    """base, union, or a model."""
    tokens: dict[str, TokenRow] = dataclasses.field(default_factory=dict)
    pad_to_multiple_of: int = 1

    def models(self) -> list[ModelReference]:
        """Return the models that it names."""
        named = [] if isinstance(self.source, str) else [self.source]
        return [*named, *(row.model for row in self.tokens.values() if row.model)]


def read_tokenizer(content: dict[str, Any], beside: Path) -> TokenizerSection | None:
    """Return what the keys `tokenizer_source` and `tokenizer` say, None without one.

    `beside` is the YAML's folder. Raises InputError, which begins with the key, for unknown keys
    and values of the wrong kind.
    """
    reader = _Reader(beside)
    source, given = content.get("tokenizer_source"), content.get("tokenizer")
    if given is None:
        if source is None:
            return None
        return TokenizerSection(reader.source(source, "tokenizer_source"))
    if source is not None:
        raise InputError("tokenizer: tokenizer_source is given as well; keep one")
    reader.check_keys(given, "tokenizer", _KEYS)
    multiple = given.get("pad_to_multiple_of")
    if multiple is not None and (type(multiple) is not int or multiple < 1):
        raise InputError(
            f"tokenizer.pad_to_multiple_of={multiple!r}: must be a whole number, 1 or more"
        )
    tokens = given.get("tokens") or {}
    if not isinstance(tokens, dict):
        raise InputError(f"tokenizer.tokens={tokens!r}: must hold tokens with their source")
    return TokenizerSection(
        reader.source(given.get("source", UNION), "tokenizer.source"),
        {str(token): reader.row(str(token), row) for token, row in tokens.items()},
        multiple or 1,
    )


class _Reader:
    """Reads the parts of the section."""

    def __init__(self, beside: Path) -> None:
        self._beside = beside

    def source(self, value: Any, where: str) -> str | ModelReference:
        """Return base, union or a model."""
        if value in (BASE, UNION):
            return str(value)
        if isinstance(value, str):
            value = value.removeprefix("model:")
        near = did_you_mean(str(value), (BASE, UNION))
        if near and "/" not in str(value) and not Path(str(value)).is_dir():
            raise InputError(f"{where}={value!r}: no tokenizer{near}")
        return read_reference(value, where, self._beside)

    def row(self, token: str, value: Any) -> TokenRow:
        """Return where the row of a token comes from."""
        where = f"tokenizer.tokens.{token}"
        self.check_keys(value, where, _TOKEN)
        force, source = value.get("force", False), value.get("source")
        if not isinstance(force, bool):
            raise InputError(f"{where}.force={force!r}: must be true or false")
        if source is None:
            raise InputError(
                f"{where}: needs a source: a model, {{kind: zero}}, or "
                "{kind: model_token, model: …, token: …}"
            )
        if not isinstance(source, dict) or "kind" not in source:
            at = f"{where}.source"
            return TokenRow(read_reference(source, at, self._beside), force=force)
        return self._kind(source, f"{where}.source", force)

    def _kind(self, source: dict[str, Any], where: str, force: bool) -> TokenRow:
        kind = source["kind"]
        if kind not in _KINDS:
            known = " or ".join(_KINDS)
            near = did_you_mean(str(kind), _KINDS)
            raise InputError(f"{where}.kind={kind!r}: must be {known}{near}")
        self.check_keys(source, where, _KINDS[kind])
        if kind == "zero":
            return TokenRow(None, force=force)
        token, number = source.get("token"), source.get("token_id")
        if (token is None) == (number is None):
            raise InputError(f"{where}: needs either token or token_id")
        if number is not None and (type(number) is not int or number < 0):
            raise InputError(f"{where}.token_id={number!r}: must be a row, from 0 on")
        if source.get("model") is None:
            raise InputError(f"{where}: names no model")
        model = read_reference(source["model"], f"{where}.model", self._beside)
        return TokenRow(model, None if token is None else str(token), number, force)

    def check_keys(self, value: Any, where: str, keys: tuple[str, ...]) -> None:
        """Raise InputError for what is no mapping with these keys."""
        if not isinstance(value, dict):
            raise InputError(f"{where}={value!r}: must hold {', '.join(keys)}")
        for key in value:
            if key not in keys:
                near = did_you_mean(str(key), keys) or f"; known are {', '.join(keys)}"
                raise InputError(f"{where}.{key}: unknown key{near}")

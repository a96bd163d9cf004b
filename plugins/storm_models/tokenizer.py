"""A digest of what gives token ids their meaning, independent of how the files are written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from storm_exp import InputError

_FORMAT = "2:"
"""What digests begin with; another one when they cover something else."""

_INNER = {
    "normalizer": "normalizers",
    "pre_tokenizer": "pretokenizers",
    "post_processor": "processors",
}
"""Steps from a text to its ids, and where a sequence of them keeps its parts."""

_SPACES_BEFORE = [
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
]
_SPACES_NOW = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}


def tokenizer_digest(directory: Path) -> str:
    """Return a digest of vocabulary, merges, added tokens, and how a text is cut and framed.

    Saving a tokenizer again rewrites its files (merges as pairs instead of strings, padding
    settings, sentencepiece's spaces), and that must not make two checkpoints look different:
    what decides ids is digested, not bytes. Raises InputError when there is no tokenizer.
    """
    return _FORMAT + _content_digest(directory)


def known_digest(stored: str | None) -> str | None:
    """Return a digest that was kept, None for one that covers something else than today's."""
    return stored if stored is not None and stored.startswith(_FORMAT) else None


def _content_digest(directory: Path) -> str:
    if (directory / "tokenizer.json").is_file():
        content = _read_object(directory / "tokenizer.json")
        model = content.get("model") or {}
        added = {token["content"]: token["id"] for token in content.get("added_tokens") or []}
        vocabulary, merges = model.get("vocab") or {}, model.get("merges") or []
        return _digest(vocabulary, merges, added, _steps(content))
    if (directory / "tokenizer.model").is_file():
        return hashlib.sha256((directory / "tokenizer.model").read_bytes()).hexdigest()
    if (directory / "vocab.json").is_file():
        file = directory / "merges.txt"
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        extra = directory / "added_tokens.json"
        return _digest(
            _read_object(directory / "vocab.json"),
            [line for line in lines if line and not line.startswith("#version")],
            _read_object(extra) if extra.is_file() else {},
            [],
        )
    raise InputError(f"{directory}: no tokenizer (tokenizer.json is missing)")


def _digest(vocabulary: Any, merges: list[Any], added: dict[str, int], steps: list[Any]) -> str:
    if isinstance(vocabulary, dict):
        tokens: list[Any] = sorted({**vocabulary, **added}.items())
    else:  # a unigram model: (piece, score) in the order of their ids
        tokens = [*vocabulary, *sorted(added.items())]
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    text = json.dumps([tokens, pairs, steps], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _steps(content: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Return what normalises a text, cuts it, and adds tokens to its ids.

    Where the same model of sentencepiece may be saved in two ways, it is the newer one.
    """
    normal, cut, framed = (_flat(content.get(name), inner) for name, inner in _INNER.items())
    if normal == _SPACES_BEFORE and not cut:
        normal, cut = [], [_SPACES_NOW]
    return [normal, cut, [_frame(step) for step in framed if _adds_tokens(step)]]


def _adds_tokens(step: dict[str, Any]) -> bool:
    return step["type"] != "ByteLevel" and step.get("special_tokens") != {}


def _frame(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step that adds tokens, without the types of tokens and what it does to pairs."""
    if step["type"] != "TemplateProcessing":
        return step
    places = [part["id"] for entry in step["single"] for part in entry.values()]
    ids = {name: token["ids"] for name, token in step["special_tokens"].items()}
    return {"places": places, "ids": ids}


def _flat(step: dict[str, Any] | None, inner: str) -> list[dict[str, Any]]:
    if step is None:
        return []
    if step["type"] == "Sequence":
        return [part for each in step[inner] for part in _flat(each, inner)]
    if step["type"] == "ByteLevel":
        kept = {name: value for name, value in step.items() if name != "trim_offsets"}
        return [{"use_regex": True, **kept}]
    return [step]


def _read_object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object")
    return content

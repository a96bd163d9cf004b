"""Conversion of character tokenizers to byte-level BPE without merges.

llama.cpp has no character tokenizer. A one-byte character becomes the token of that byte, a longer
one and added phrases become user-defined tokens, which are matched before pre-tokenisation.
"""

from __future__ import annotations

from typing import Any

from storm_export.gguf.tokens import CONTROL, NO_MERGE, NORMAL, USER_DEFINED, Vocabulary

_EVERY_CHARACTER = (r"[\s\S]", "")


def is_characters(content: dict[str, Any]) -> bool:
    """Return whether a tokenizer.json is WordLevel with every character as a word."""
    cut = content.get("pre_tokenizer") or {}
    pattern = (cut.get("pattern") or {}).values()
    return (
        (content.get("model") or {}).get("type") == "WordLevel"
        and content.get("normalizer") is None
        and cut.get("type") == "Split"
        and cut.get("behavior") == "Isolated"
        and all(each in _EVERY_CHARACTER for each in pattern)
    )


def characters(content: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary of a character tokenizer."""
    added = {token["id"]: token for token in content.get("added_tokens") or []}
    names = {token_id: token for token, token_id in content["model"]["vocab"].items()}
    names |= {token_id: token["content"] for token_id, token in added.items()}
    letters = byte_letters()
    tokens, types = [], []
    for token_id in range(len(names)):
        name = names[token_id]
        if token_id in added and added[token_id]["special"]:
            tokens.append(name)
            types.append(CONTROL)
        elif len(name.encode()) == 1:
            tokens.append(letters[name.encode()[0]])
            types.append(NORMAL)
        else:
            tokens.append(name)
            types.append(USER_DEFINED)
    return Vocabulary(
        model="gpt2",
        pre="gpt-2",
        tokens=tokens,
        types=types,
        merges=[NO_MERGE],
        remarks=["llama.cpp drops characters that are not in the vocabulary"],
    )


def byte_letters() -> list[str]:
    """Return GPT-2's letter for every byte, as used in byte-level vocabularies.

    Printable Latin-1 bytes map to themselves, the others to letters from U+0100 on.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)]

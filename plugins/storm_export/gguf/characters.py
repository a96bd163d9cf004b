"""A tokenizer of single characters, as a byte-level one without merges.

llama.cpp has no tokenizer of characters. A character of one byte is a token of that byte; one of
several is matched in the text before it is cut, as the tokens of phrases are.
"""

from __future__ import annotations

from typing import Any

from storm_export.gguf.tokens import CONTROL, NO_MERGE, NORMAL, USER_DEFINED, Vocabulary

_EVERY_CHARACTER = (r"[\s\S]", "")


def is_characters(content: dict[str, Any]) -> bool:
    """Return whether a tokenizer.json knows words, and every character is one."""
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
    """Return its tokens; what is neither a character nor an added token stands in no text."""
    added = {token["id"]: token for token in content.get("added_tokens") or []}
    names = {place: token for token, place in content["model"]["vocab"].items()}
    names |= {place: token["content"] for place, token in added.items()}
    letters = byte_letters()
    tokens, types = [], []
    for place in range(len(names)):
        name = names[place]
        if place in added and added[place]["special"]:
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
        remarks=["llama.cpp leaves out characters that no token stands for"],
    )


def byte_letters() -> list[str]:
    """Return for every byte the letter that stands for it in byte-level vocabularies (GPT-2).

    Bytes that are printable in Latin-1 stand for themselves, the others for letters from U+0100.
    """
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)]

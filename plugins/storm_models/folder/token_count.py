"""Token counts of texts while planning, without loading transformers."""

from __future__ import annotations

import functools
from pathlib import Path

from storm_models.folder.tokenizer import FOLDERS


def count_tokens(digest: str | None, text: str) -> int | None:
    """Return the number of tokens of a text, None where no tokenizer with this digest is known.

    Tokens that a chat template adds are not counted.
    """
    folder = FOLDERS.get(digest or "")
    return None if folder is None else _count(folder / "tokenizer.json", text)


@functools.lru_cache(maxsize=64)
def _count(file: Path, text: str) -> int | None:
    try:
        from tokenizers import Tokenizer

        return len(Tokenizer.from_file(str(file)).encode(text, add_special_tokens=False).ids)
    except (
        Exception
    ):  # its errors have no type; loading the tokenizer reports what is wrong with it
        return None

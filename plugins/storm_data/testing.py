"""Small chat files for tests and benchmarks, made from the standard library's docstrings."""

from __future__ import annotations

import json
from pathlib import Path

from storm_models.twins.library_docstrings import library_docstrings


def make_chats(file: Path, rows: int = 120, characters: int = 400) -> Path:
    """Write chats about the standard library as OpenAI JSONL and return the file.

    A question names a function, the answer is a paragraph of its docstring, cut at `characters`.
    """
    lines = []
    for name, text in library_docstrings():
        for number, paragraph in enumerate(p for p in text.split("\n\n") if len(p) > 40):
            question = (
                f"What does {name} do?" if number == 0 else f"Tell me more on {name} ({number})."
            )
            messages = [
                {"role": "user", "content": question},
                {"role": "assistant", "content": " ".join(paragraph.split())[:characters]},
            ]
            lines.append(json.dumps({"messages": messages}))
    if len(lines) < rows:
        raise ValueError(f"the standard library gives {len(lines)} rows, fewer than {rows}")
    file.write_text("\n".join(lines[:rows]) + "\n", encoding="utf-8")
    return file

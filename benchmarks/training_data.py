"""What the training benchmarks train: a small model, ragged chats and preferences, no hub."""

from __future__ import annotations

import ast
import dataclasses
import random
import re
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from storm_models.testing import make_model

_SKIPPED = {"test", "tests", "site-packages", "idlelib", "lib2to3", "turtledemo"}

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML, without the newline after a turn: TRL trains on it, ours on the turn's end token alone.
Without it both supervise the same tokens."""


@dataclasses.dataclass(frozen=True)
class Chat:
    """A question and its answer; the one to reject is another's, in lower case without marks."""

    question: str
    answer: str
    wrong: str


def docstrings(characters: int = 2400) -> Iterator[tuple[str, str]]:
    """Yield (name, docstring of 60 characters or more, cut) of the standard library's sources."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if _SKIPPED & set(parts):
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                text = ast.get_docstring(node) or ""
                if len(text) >= 60:
                    yield f"{'.'.join(parts)}.{node.name}", text[:characters]


def chats(count: int, seed: int = 0) -> list[Chat]:
    """Return chats on functions of the standard library, in random order."""
    texts = list(docstrings())
    draw = random.Random(seed)
    draw.shuffle(texts)
    if len(texts) < count:
        raise ValueError(f"the standard library gives {len(texts)} chats, {count} were asked for")
    answers = [text for _, text in texts[:count]]
    shifted = [" ".join(re.findall(r"\w+", text.lower())) for text in answers[1:] + answers[:1]]
    return [
        Chat(f"What does {name} do?", text, wrong)
        for (name, text), wrong in zip(texts, shifted, strict=False)
    ]


def make_trained_model(folder: Path, *, layers: int = 4, hidden: int = 192) -> Path:
    """Write the llama that is trained (4.5 M parameters) unless it is there; returns the folder."""
    if not (folder / "config.json").is_file():
        from transformers import AutoTokenizer

        make_model(
            folder,
            family="llama",
            hidden=hidden,
            layers=layers,
            intermediate=hidden * 8 // 3,
            vocabulary=8192,
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = TEMPLATE
        tokenizer.save_pretrained(folder)
    return folder


def make_smollm2(folder: Path) -> Path:
    """Write SmolLM2-135M with the benchmark's template unless it is there; returns the folder.

    Raises InputError where its environment is missing.
    """
    made = folder / "stage"
    if not (made / "config.json").is_file():
        from storm_command.smollm2.component import Smollm2, StoredDtype
        from storm_exp.testing import make_stage, run_component

        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run_component(Smollm2(dtype=StoredDtype.float32), make_stage(folder))
        (made / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return made

"""The components `tinyworld_text` and `tinyworld_code`: plain documents for pretraining."""

from __future__ import annotations

import dataclasses
import itertools
import random
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.rows.arrow_schema import document_schema
from storm_exp import SettingError, StageContext, component, setting
from storm_tinyworld.base_model.vocabulary import (
    ASSISTANT,
    END_OF_TURN,
    PHRASES,
    SPECIAL_TOKENS,
    USER,
)
from storm_tinyworld.corpora.corpus_settings import Corpus, check_weights
from storm_tinyworld.corpora.stories import story
from storm_tinyworld.skills.basic import FAMILIES, Example, examples
from storm_tinyworld.skills.programs import PROGRAMS
from storm_tinyworld.skills.skill_registry import EVERY_FAMILY

TRUTH = {"truth_form": "string", "truth_tokens": "int64"}
"""What a document is (chat, exercises, story or script), and its tokens without BOS and EOS."""

_TOKENS = re.compile("|".join(map(re.escape, (*SPECIAL_TOKENS, *PHRASES))) + r"|[\s\S]")

Parts = Callable[[random.Random, Iterator[Example]], Iterator[str]]
"""Writes the parts of a document, without end."""


def token_count(text: str) -> int:
    """Return how many tokens this world's tokenizer makes of a text."""
    return sum(1 for _ in _TOKENS.finditer(text))


@dataclasses.dataclass(kw_only=True)
class Documents(Corpus):
    """Settings of both kinds of documents."""

    rows: int = 4000
    """Documents to train on."""
    difficulties: dict[str, float] = setting({"easy": 1.0, "medium": 1.0, "hard": 0.3})
    """Weights of the difficulties."""
    max_length: int = setting(256, at_least=192, unit="tokens")
    """Tokens of the longest document, BOS and EOS included; a chat has up to 192."""
    chats: float = setting(0.4, at_least=0, at_most=1)
    """Share of the tokens that are chats in the template's form, BOS and EOS left to whoever
    tokenises: so a model that only saw documents can be asked."""

    def plan_spec(self) -> DatasetSpec:
        """Say how many documents there will be."""
        return self.row_spec(["id", "text", "source", *TRUTH])

    def write(
        self, stage: StageContext, source: str, families: dict[str, float], forms: dict[str, float]
    ) -> Dataset:
        """Write both splits, in which `forms` have these shares of the tokens."""
        data, schema = Dataset(stage.directory), document_schema(**TRUTH)
        for split, count in (("train", self.rows), ("validation", self.validation_rows)):
            draw = random.Random(f"{source} {split} {self.seed}")
            held_back = split == "validation"
            asked = (
                example
                for example in examples(draw, families, self.difficulties, known=EVERY_FAMILY)
                if _is_held_back(example) == held_back
            )
            texts = itertools.islice(_documents(draw, asked, forms, self.max_length - 2), count)
            rows: list[dict[str, Any]] = [
                {"id": f"{split}-{n:05d}", "text": text, "source": source}
                | {"truth_form": form, "truth_tokens": token_count(text)}
                for n, (form, text) in enumerate(texts)
            ]
            data.write(split, rows, schema)
            if split == "train":
                stage.metric("tokens", sum(row["truth_tokens"] for row in rows), main=True)
        return data


@component("dataset", "tinyworld_text", version=1)
class TinyworldText(Documents):
    """Text of the miniature world: chats, exercises with their answers, and stories.

    None of evaluation's questions is among them, and none of validation's is asked in training.
    """

    families: dict[str, float] = setting(dict.fromkeys(FAMILIES, 1.0), at_least=0)
    """Weights of the skill families in chats and exercises. By default no mathematics beyond small
    sums, for want of which TinyLlama is weak at it."""
    stories: float = setting(0.2, at_least=0, at_most=1)
    """Share of the tokens that are stories. What chats and stories leave is exercises."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        check_weights("families", self.families, EVERY_FAMILY)
        if self.chats + self.stories > 1 + 1e-9:
            problem = f"must lie between 0 and {1 - self.chats:g}, what chats={self.chats} leaves"
            raise SettingError("stories", self.stories, problem)

    def run(self, stage: StageContext) -> Dataset:
        """Write chats, exercises and stories."""
        rest = max(0.0, round(1 - self.chats - self.stories, 9))
        forms = {"chat": self.chats, "story": self.stories, "exercises": rest}
        return self.write(stage, "text", self.families, forms)


@component("dataset", "tinyworld_code", version=1)
class TinyworldCode(Documents):
    """Code of the miniature world: scripts with what they print, and chats on short programs.

    The language is a little of Python, which prints the same. Questions of evaluation and of
    validation are kept apart as in `tinyworld_text`.
    """

    def run(self, stage: StageContext) -> Dataset:
        """Write scripts and chats."""
        families = dict.fromkeys(PROGRAMS, 1.0)
        return self.write(stage, "code", families, {"chat": self.chats, "script": 1 - self.chats})


def _is_held_back(example: Example) -> bool:
    """Whether an instruction is for validation alone: another sixteenth than the evaluation's."""
    return zlib.crc32(example.instruction.encode()) % 16 == 1


def _documents(
    draw: random.Random, asked: Iterator[Example], forms: dict[str, float], longest: int
) -> Iterator[tuple[str, str]]:
    """Yield (form, text): always of the form that is furthest below its share of the tokens."""
    written: Counter[str] = Counter()
    wanted = [form for form, share in forms.items() if share > 0]
    while True:
        form = min(wanted, key=lambda form: written[form] / forms[form])
        parts, joint = FORMS[form]
        text = _document(parts(draw, asked), joint, draw.randint(longest // 2, longest))
        written[form] += token_count(text)
        yield form, text


def _document(parts: Iterator[str], joint: str, length: int) -> str:
    """Join parts up to `length` tokens; the first is taken whatever it is."""
    text = next(parts)
    for part in parts:
        longer = text + joint + part
        if token_count(longer) > length:
            break
        text = longer
    return text


def _chat(draw: random.Random, asked: Iterator[Example]) -> Iterator[str]:
    example = next(asked)
    yield f"{USER}{example.instruction}{END_OF_TURN}{ASSISTANT}{example.response}"


def _exercises(draw: random.Random, asked: Iterator[Example]) -> Iterator[str]:
    for example in asked:
        yield f"{example.instruction}\n{example.response}"


def _story(draw: random.Random, asked: Iterator[Example]) -> Iterator[str]:
    yield from story(draw)


def _script(draw: random.Random, asked: Iterator[Example]) -> Iterator[str]:
    for example in asked:
        yield f"{example.instruction}\n# {example.response}"


FORMS: dict[str, tuple[Parts, str]] = {
    "chat": (_chat, ""),
    "exercises": (_exercises, "\n\n"),
    "story": (_story, " "),
    "script": (_script, "\n\n"),
}
"""How documents are written, and what stands between their parts."""

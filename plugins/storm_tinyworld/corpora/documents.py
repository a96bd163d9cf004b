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
"""A document's form (chat, exercises, story or script), and its tokens without BOS and EOS."""

_TOKENS = re.compile("|".join(map(re.escape, (*SPECIAL_TOKENS, *PHRASES))) + r"|[\s\S]")

Parts = Callable[[random.Random, Iterator[Example]], Iterator[str]]
"""A function that yields the parts of a document, without end."""


def token_count(text: str) -> int:
    """Return the number of tokens of a text, by this world's tokenizer."""
    return sum(1 for _ in _TOKENS.finditer(text))


@dataclasses.dataclass(kw_only=True)
class Documents(Corpus):
    """Settings of both kinds of documents."""

    rows: int = 4000
    """Documents to train on."""
    difficulties: dict[str, float] = setting({"easy": 1.0, "medium": 1.0, "hard": 0.3})
    """Weights of the difficulties."""
    max_length: int = setting(256, at_least=192, unit="tokens")
    """Tokens of the longest document, with BOS and EOS; a chat has up to 192."""
    chats: float = setting(0.4, at_least=0, at_most=1)
    """Share of tokens in chats, written in the template's form without BOS and EOS, which
    tokenising adds: so a model that saw only documents can answer chats."""

    def plan_spec(self) -> DatasetSpec:
        """Return the exact number of documents."""
        return self.row_spec(["id", "text", "source", *TRUTH])

    def write(
        self, stage: StageContext, source: str, families: dict[str, float], forms: dict[str, float]
    ) -> Dataset:
        """Write both splits, with the shares of tokens in `forms`."""
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

    They contain no question of the evaluation, and the training split none of the validation's.
    """

    families: dict[str, float] = setting(dict.fromkeys(FAMILIES, 1.0), at_least=0)
    """Weights of the skill families in chats and exercises. By default there is no mathematics
    beyond small sums, as in TinyLlama's text."""
    stories: float = setting(0.2, at_least=0, at_most=1)
    """Share of tokens in stories. The rest, besides chats and stories, is exercises."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        check_weights("families", self.families, EVERY_FAMILY)
        if self.chats + self.stories > 1 + 1e-9:
            problem = f"must be at most {1 - self.chats:g}, the rest besides chats={self.chats}"
            raise SettingError("stories", self.stories, problem)

    def run(self, stage: StageContext) -> Dataset:
        """Write chats, exercises and stories."""
        rest = max(0.0, round(1 - self.chats - self.stories, 9))
        forms = {"chat": self.chats, "story": self.stories, "exercises": rest}
        return self.write(stage, "text", self.families, forms)


@component("dataset", "tinyworld_code", version=1)
class TinyworldCode(Documents):
    """Code of the miniature world: scripts with their output, and chats on short programs.

    The language is a subset of Python. Questions of evaluation and validation are separated as in
    `tinyworld_text`.
    """

    def run(self, stage: StageContext) -> Dataset:
        """Write scripts and chats."""
        families = dict.fromkeys(PROGRAMS, 1.0)
        return self.write(stage, "code", families, {"chat": self.chats, "script": 1 - self.chats})


def _is_held_back(example: Example) -> bool:
    """Return whether an instruction is reserved for validation, another sixteenth of them."""
    return zlib.crc32(example.instruction.encode()) % 16 == 1


def _documents(
    draw: random.Random, asked: Iterator[Example], forms: dict[str, float], longest: int
) -> Iterator[tuple[str, str]]:
    """Yield (form, text), always of the form that is furthest below its share of tokens."""
    written: Counter[str] = Counter()
    wanted = [form for form, share in forms.items() if share > 0]
    while True:
        form = min(wanted, key=lambda form: written[form] / forms[form])
        parts, joint = FORMS[form]
        text = _document(parts(draw, asked), joint, draw.randint(longest // 2, longest))
        written[form] += token_count(text)
        yield form, text


def _document(parts: Iterator[str], joint: str, length: int) -> str:
    """Return parts joined up to `length` tokens; the first is always included."""
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
"""The parts of each form of document, and the text between them."""

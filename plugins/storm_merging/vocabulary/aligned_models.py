"""Models whose rows follow a merge's tokens, and the tokenizer that the merge gets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_exp import StageContext
from storm_merging.parents.compatibility import Headers
from storm_merging.vocabulary.alignment import SET, Alignment, align
from storm_merging.vocabulary.merged_vocabulary import FILE, read_tokenizer_tokens
from storm_merging.vocabulary.row_sources import VocabularyMatrix
from storm_merging.vocabulary.rows_by_token import ModelByToken, with_rows
from storm_merging.vocabulary.settings import VocabularySettings
from storm_models.chat.inheritance import inherit_stops
from storm_models.chat.stops import read_stops
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.architecture import EMBEDDING, HEAD
from storm_models.folder.files import OF_THE_MODEL, TOKENIZER_FILES
from storm_models.folder.generation_config import (
    read_generation_config,
    write_generation_config,
)
from storm_models.folder.json_file import read_json

_OTHER_FORMS = ("tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json")
"""Files that hold the tokens as well, and would lack those that are added."""
_SPECIAL = ("bos_token_id", "eos_token_id", "pad_token_id")


def aligned_models(
    models: Sequence[Checkpoint],
    settings: VocabularySettings,
    matrices: Sequence[VocabularyMatrix],
    merged: Sequence[int],
    main: int,
    headers: Sequence[Headers],
) -> AlignedModels | None:
    """Return the models in one vocabulary, None where all have it.

    `matrices` are embedding and head, `merged` the places of the models that are merged, and `main`
    that of the base, or of the first model. Raises InputError as `align` does.
    """
    stored = [each[EMBEDDING][1][0] if EMBEDDING in each else 0 for each in headers]
    keeper = settings.place(main, len(models))
    if keeper is None and len({stored[place] for place in (main, *merged)}) == 1:
        return None
    keeper = main if keeper is None else keeper
    tokenizers = [read_tokenizer_tokens(model.directory) for model in models]
    with_head = any(HEAD in headers[model] for model in merged)
    apart = [each for each in matrices if each.name != HEAD or with_head]
    alignment = align(settings, tokenizers, stored, apart, keeper)
    if keeper == main and alignment.unchanged(stored):
        return None
    return AlignedModels(models, alignment, main, [each.ids for each in tokenizers])


class AlignedModels:
    """The models of a merge in one vocabulary."""

    def __init__(
        self,
        models: Sequence[Checkpoint],
        alignment: Alignment,
        main: int,
        ids: Sequence[dict[str, int]],
    ) -> None:
        """`main` is the place of the model whose config the merge has; `ids` are {token: id}."""
        self._models, self._alignment, self._main, self._ids = models, alignment, main, ids
        self.readable = [
            ModelByToken(models, place, alignment.matrices.get(place, {}))
            for place in range(len(models))
        ]

    @property
    def rows(self) -> int:
        """The rows of the merge's embedding."""
        return self._alignment.vocabulary.rows

    @property
    def kept(self) -> Checkpoint:
        """The model whose tokenizer the merge has."""
        return self._models[self._alignment.vocabulary.keeper]

    def record(self) -> dict[str, Any]:
        """Return what `merge.json` tells of the vocabulary."""
        return self._alignment.record()

    def headers(self, headers: Sequence[Headers]) -> list[Headers]:
        """Return {name: (dtype, shape)} of every model in the merge's vocabulary."""
        return [
            with_rows(each, self._alignment.matrices.get(place, {}))
            for place, each in enumerate(headers)
        ]

    def special_ids(self) -> dict[str, int | list[int] | None]:
        """Return the values of config.json that are ids of the tokenizer's model."""
        if self._alignment.vocabulary.keeper == self._main:
            return {}
        stated = read_json(self.kept.directory / "config.json")
        return {name: stated.get(name) for name in _SPECIAL}

    def write_companions(self, stage: StageContext) -> None:
        """Write the files beside the weights, and tell which rows a model lacked."""
        vocabulary, kept, main = self._alignment.vocabulary, self.kept, self._models[self._main]
        left_out = _OTHER_FORMS if vocabulary.entries else ()
        main.copy_companions(stage.directory, but=(*TOKENIZER_FILES, "config.json"))
        kept.copy_companions(stage.directory, but=(*OF_THE_MODEL, *left_out))
        if vocabulary.entries:
            _add_tokens(stage.directory / FILE, vocabulary.entries)
        self._write_generation_config(stage.directory, kept.directory)
        stops = []
        for model, ids in zip(self._models, self._ids, strict=True):
            own = read_stops(model.directory)
            stops += [vocabulary.ids.get(token, -1) for token, row in ids.items() if row in own]
        inherit_stops(stage, stage.directory, [stop for stop in stops if stop >= 0])
        self._tell(stage)

    def _write_generation_config(self, directory: Path, kept: Path) -> None:
        specials = self.special_ids()
        content = read_generation_config(directory)
        if not specials or content is None:
            return
        own = read_generation_config(kept) or {}
        values = {name: own.get(name, specials[name]) for name in _SPECIAL}
        content = {name: value for name, value in content.items() if name not in _SPECIAL}
        known = {name: value for name, value in values.items() if value is not None}
        write_generation_config(directory, {**content, **known})

    def _tell(self, stage: StageContext) -> None:
        vocabulary = self._alignment.vocabulary
        if vocabulary.entries:
            stage.say(f"the tokenizer gets {len(vocabulary.entries):,} further tokens")
        for entry in self._alignment.record()["filled"]:
            named = ", ".join(map(repr, entry["first"][:3]))
            more = ", …" if entry["tokens"] > 3 else ""
            tokens = f"{entry['tokens']:,} tokens ({named}{more})"
            if entry["has"] == SET:
                stage.say(f"model {entry['model']} has rows that are set for {tokens}")
            else:
                stage.say(f"model {entry['model']} lacks {tokens}, for which it has {entry['has']}")


def _add_tokens(file: Path, entries: Sequence[dict[str, object]]) -> None:
    content = read_json(file)
    new = {entry["content"] for entry in entries}
    kept = [each for each in content.get("added_tokens") or [] if each["content"] not in new]
    content["added_tokens"] = sorted([*kept, *entries], key=lambda entry: entry["id"])
    file.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

"""Taking rows in one by one: good ones are split, bad ones kept with their reason and counted."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from storm_data.files.missed_columns import missed_columns
from storm_data.files.row_file import RowFile
from storm_data.files.split_settings import SplitSettings, validation_count
from storm_data.rows.bad_row import BadRow, in_few_words
from storm_data.rows.row_schema import Content, RowSchema, content_digest
from storm_exp import InputError, SettingError, StageContext

DUPLICATE = "duplicate"
"""The reason for rejecting a row that came before, which is not the row's fault."""
EXCLUDED = "excluded by "
"""What the reason begins with where a setting turned a row away, before the column's name."""

_MOST_REMARKS = 100
_OTHER_REMARKS = "unused: still others"

_SHOWN_CHARACTERS = 2000
_EXAMPLES = 5
_TOLD = 3
_MOST_COLUMNS = 1000


class Ingest:
    """Rows on their way to the splits train, validation and rejected."""

    def __init__(
        self,
        scratch: Path,
        form: RowSchema,
        settings: SplitSettings,
    ) -> None:
        """Keep the good rows in a file under `scratch` until they are split."""
        self._settings = settings
        self._exclude = {name: re.compile(text) for name, text in settings.exclude.items()}
        self._seen: set[str] = set()
        """Columns of rows: many, and all that rows are excluded by."""
        self._form = form
        self._forms = {id(form): form}
        self._good = RowFile(scratch / "accepted.parquet", form.schema())
        self._bad = RowFile(scratch / "rejected.parquet", rejected_schema(form))
        self._ids: set[bytes] = set()
        self._ranks: list[bytes] = []
        self._held_out: set[int] = set()
        self._trained: set[bytes] = set()
        self.read = 0
        self.reasons: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []

    def take(
        self,
        row: dict[str, Any],
        line: int,
        source: str,
        seed: int,
        *,
        held_out: bool = False,
        form: RowSchema | None = None,
    ) -> None:
        """Accept or reject one row; one that comes `held_out` goes to validation.

        `form` reads it where a source has columns of its own.

        Rows to train on come first: what is held out must not share its group with one of them.
        """
        form = form or self._form
        self._forms[id(form)] = form
        try:
            self._check_excluded(row)
            content = _read(form, row)
            if content.characters > self._settings.max_characters:
                raise BadRow("enormous", f"{content.characters} characters")
            digest = content_digest(content.identity)
            group = digest if content.group is None else content_digest(content.group)
            rank = hashlib.sha256(f"{seed}\0{group}".encode()).digest()[:16]
            name = _name(row) or digest
            if held_out and rank in self._trained:
                raise BadRow(DUPLICATE, "training has a row with the same prompt")
            self._once(name, digest)
        except BadRow as error:
            self.reject(error, line, source, _shown(row), _name(row))
            return
        self.read += 1
        if held_out:
            self._held_out.add(self.accepted)
        elif content.group is not None:
            self._trained.add(rank)
        self._remark(content.remarks)
        self._ranks.append(rank)
        self._good.add({"id": name, **content.columns, "source": _source(row) or source})

    def reject(
        self, error: BadRow, line: int, source: str, text: str, name: str | None = None
    ) -> None:
        """Keep a bad row with its reason, line number and the beginning of its text."""
        self.read += 1
        self.reasons[error.reason] += 1
        text = text[:_SHOWN_CHARACTERS].encode(errors="replace").decode()
        row = {
            "id": name or f"{source}:{line}",
            "source": source,
            "line": line,
            "reason": error.reason,
            "detail": error.detail.encode(errors="replace").decode(),
            "text": text,
        }
        self._bad.add(row)
        if self.reasons[error.reason] <= _EXAMPLES:
            shown = {name: row[name] for name in ("line", "reason", "detail", "source")}
            self.examples.append({**shown, "text": text[:300]})

    @property
    def accepted(self) -> int:
        """The number of good rows so far."""
        return len(self._ranks)

    @property
    def bad(self) -> int:
        """The number of rows that cannot be used; those that came before or were excluded are not
        among them.
        """
        return sum(
            count
            for reason, count in self.reasons.items()
            if reason != DUPLICATE and not reason.startswith(EXCLUDED)
        )

    def finish(self, stage: StageContext, what: str) -> None:
        """Write splits and funnel into the stage's directory.

        Holds out the rows that came so, else as many as the settings say. Raises InputError,
        naming `what`, counts and the first examples, when no row is good or too many are bad.
        """
        settings = self._settings
        self._check(what, settings.max_bad_share)
        held_out = len(self._held_out) or validation_count(
            self.accepted, settings.validation_share, settings.validation_rows
        )
        if held_out >= self.accepted:
            raise InputError(
                f"{what}: {self.accepted} good rows leave nothing to train on when {held_out} are "
                "held out",
                validation_rows=settings.validation_rows,
            )
        splits = self._split(stage.directory, self._held_out or self._draw(held_out))
        self._write_funnel(stage.directory, splits)
        for name, count in splits.items():
            stage.metric(name, count, main=name == "train")
        if self.reasons:
            stage.say(f"{splits['rejected']} of {self.read} rows rejected ({self._counts()})")
        if self.remarks:
            told = ", ".join(f"{remark}: {count}" for remark, count in self.remarks.most_common())
            stage.say(f"rows that were taken, and what was not used or not as usual ({told})")

    def _check(self, what: str, max_bad_share: float) -> None:
        """Raise InputError when no row is good or the share of bad ones is above the allowed.

        And SettingError where no row has a column that a setting names: a misspelt one would name
        nothing, or exclude none.
        """
        missed = missed_columns(self._settings, [f.names for f in self._forms.values()], self._seen)
        if self.accepted and missed:
            raise SettingError(*missed[0])
        if self.accepted and self.bad <= max_bad_share * self.read:
            return
        if self.accepted == 0:
            verdict = f"none of the {self.read} rows can be used"
        else:
            verdict = (
                f"{self.bad} of {self.read} rows are bad, more than max_bad_share={max_bad_share}"
            )
        first = in_few_words(self.examples[:_TOLD])
        tail = "".join(f"; {name}={value}: {problem}" for name, value, problem in missed)
        text = f"{what}: {verdict} ({self._counts()}). First: {first}{tail}"
        raise InputError(text, **({"max_bad_share": max_bad_share} if self.accepted else {}))

    def _draw(self, wanted: int) -> set[int]:
        """Return the positions of `wanted` rows to hold out.

        Those with the smallest digest of seed and content, so that a row added elsewhere in the
        file moves few others. A group that would exceed the number is left out as a whole.
        """
        order = sorted(range(self.accepted), key=self._ranks.__getitem__)
        chosen: set[int] = set()
        for _, group in itertools.groupby(order, key=self._ranks.__getitem__):
            if len(chosen) == wanted:
                break
            members = list(group)
            if len(chosen) + len(members) <= wanted:
                chosen.update(members)
        return chosen

    def _split(self, directory: Path, validation: set[int]) -> dict[str, int]:
        """Write the splits; returns their sizes. The order of the file stays."""
        self._good.close()
        outputs = {
            name: RowFile(directory / f"{name}.parquet", self._form.schema())
            for name in ("train", "validation")
        }
        for position, row in enumerate(self._good.rows()):
            outputs["validation" if position in validation else "train"].add(row)
        self._bad.close()
        outputs["rejected"] = RowFile(directory / "rejected.parquet", rejected_schema(self._form))
        for row in self._bad.rows():
            outputs["rejected"].add(row)
        for output in outputs.values():
            output.close()
        return {name: output.count for name, output in outputs.items()}

    def _write_funnel(self, directory: Path, splits: dict[str, int]) -> None:
        """Leave `funnel.json`, what the report shows of the rows."""
        funnel = {
            "read": self.read,
            "splits": splits,
            "rejected": dict(sorted(self.reasons.items())),
            "remarks": dict(sorted(self.remarks.items())),
            "examples": self.examples,
        }
        text = json.dumps(funnel, indent=1, ensure_ascii=False) + "\n"
        (directory / "funnel.json").write_text(text, encoding="utf-8")

    def _check_excluded(self, row: dict[str, Any]) -> None:
        self._seen.update(row if len(self._seen) < _MOST_COLUMNS else row.keys() & self._exclude)
        for name, pattern in self._exclude.items():
            if name not in row:
                continue
            if isinstance(row[name], str | int) and pattern.fullmatch(str(row[name])):
                raise BadRow(f"{EXCLUDED}{name}", f"{row[name]} matches {pattern.pattern}"[:200])

    def _remark(self, remarks: Collection[str]) -> None:
        full = len(self.remarks) >= _MOST_REMARKS
        known = {one if one in self.remarks or not full else _OTHER_REMARKS for one in remarks}
        self.remarks.update(known)

    def _counts(self) -> str:
        return ", ".join(f"{reason}: {count}" for reason, count in self.reasons.most_common())

    def _once(self, name: str, content: str) -> None:
        keys = [
            hashlib.sha256(text.encode(errors="replace")).digest()[:16]
            for text in (f"id {name}", f"content {content}")
        ]
        of_id, of_content = keys
        if of_content in self._ids:
            raise BadRow(DUPLICATE, "an earlier row has the content")
        if of_id in self._ids:
            raise BadRow("id given twice", f"an earlier row of other content has {name}"[:200])
        self._ids.update(keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._good.close()
        self._bad.close()


def rejected_schema(form: RowSchema) -> pa.Schema:
    """Return the Arrow schema of rejected rows: a row without content, and why."""
    return form.schema(line="int64", reason="string", detail="string", text="string")


def _read(form: RowSchema, row: dict[str, Any]) -> Content:
    try:
        return form.read(row)
    except RecursionError as error:
        raise BadRow("malformed row", "nested too deeply") from error


def _name(row: dict[str, Any]) -> str | None:
    value = row.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    return str(value).encode(errors="replace").decode()


def _source(row: dict[str, Any]) -> str | None:
    value = row.get("source")
    return value.encode(errors="replace").decode() if isinstance(value, str) and value else None


def _shown(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, default=str)
    except (RecursionError, ValueError, TypeError):
        return ", ".join(map(str, row))

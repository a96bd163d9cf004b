"""Reading rows one by one: good ones are split, bad ones are stored with their reason."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from storm_data.files.funnel import DUPLICATE, Funnel
from storm_data.files.missed_columns import missed_columns
from storm_data.files.row_checks import RowChecks, row_id
from storm_data.files.row_file import RowFile
from storm_data.files.split_settings import SplitSettings, validation_count
from storm_data.rows.bad_row import BadRow, short_list
from storm_data.rows.row_schema import RowSchema, content_digest
from storm_exp import InputError, SettingError, StageContext

_SHOWN_CHARACTERS = 2000
_SHOWN_EXAMPLES = 3


class Ingest:
    """Sorts rows into the splits train, validation and rejected."""

    def __init__(
        self,
        scratch: Path,
        schema: RowSchema,
        settings: SplitSettings,
    ) -> None:
        """Keep the rows in files under `scratch` until they are split."""
        self._settings = settings
        self._checks = RowChecks(settings)
        self._schema = schema
        self._schemas = {id(schema): schema}
        self._good = RowFile(scratch / "accepted.parquet", schema.schema())
        self._bad = RowFile(scratch / "rejected.parquet", rejected_schema(schema))
        self._ranks: list[bytes] = []
        self._held_out: set[int] = set()
        self._trained: set[bytes] = set()
        self._funnel = Funnel()

    def take(
        self,
        row: dict[str, Any],
        line: int,
        source: str,
        seed: int,
        *,
        held_out: bool = False,
        schema: RowSchema | None = None,
    ) -> None:
        """Accept or reject one row; a row that is `held_out` goes to validation.

        `schema` reads the row where a source has its own column names. Rows to train on must come
        before held-out ones, which must not share a group with them.
        """
        schema = schema or self._schema
        self._schemas[id(schema)] = schema
        try:
            content = self._checks.read(row, schema)
            digest = content_digest(content.identity)
            group = digest if content.group is None else content_digest(content.group)
            rank = hashlib.sha256(f"{seed}\0{group}".encode()).digest()[:16]
            if held_out and rank in self._trained:
                raise BadRow(DUPLICATE, "training has a row with the same prompt")
            name = self._checks.name(row, digest)
        except BadRow as error:
            self.reject(error, line, source, _row_text(row), row_id(row))
            return
        if held_out:
            self._held_out.add(self.accepted)
        elif content.group is not None:
            self._trained.add(rank)
        self._funnel.accept(content.remarks)
        self._ranks.append(rank)
        self._good.add({"id": name, **content.columns, "source": _row_source(row) or source})

    def reject(
        self, error: BadRow, line: int, source: str, text: str, name: str | None = None
    ) -> None:
        """Store a bad row with its reason, line number and the beginning of its text."""
        row = {
            "id": name or f"{source}:{line}",
            "source": source,
            "line": line,
            "reason": error.reason,
            "detail": error.detail.encode(errors="replace").decode(),
            "text": text[:_SHOWN_CHARACTERS].encode(errors="replace").decode(),
        }
        self._bad.add(row)
        self._funnel.reject(row)

    @property
    def accepted(self) -> int:
        """The number of good rows so far."""
        return len(self._ranks)

    def finish(self, stage: StageContext, source: str) -> None:
        """Write the splits and the funnel to the stage's directory.

        The rows taken as `held_out` form the validation split; without any, as many rows are drawn
        as the settings say. Raises InputError, naming `source`, counts and the first examples, when
        no row is good or too many are bad.
        """
        settings = self._settings
        self._check(source, settings.max_bad_share)
        held_out = len(self._held_out) or validation_count(
            self.accepted, settings.validation_share, settings.validation_rows
        )
        if held_out >= self.accepted:
            raise InputError(
                f"{source}: {held_out} rows are to be held out of {self.accepted} good ones, which "
                "leaves nothing to train on",
                validation_rows=settings.validation_rows,
            )
        splits = self._split(stage.directory, self._held_out or self._draw(held_out))
        funnel = self._funnel
        funnel.write(stage.directory, splits)
        for name, count in splits.items():
            stage.metric(name, count, main=name == "train")
        if funnel.reasons:
            rejected = f"{splits['rejected']} of {funnel.read} rows rejected"
            stage.say(f"{rejected} ({funnel.reason_counts()})")
        if funnel.remarks:
            stage.say(f"remarks on accepted rows ({funnel.remark_counts()})")

    def _check(self, source: str, max_bad_share: float) -> None:
        """Raise InputError when no row is good or too large a share is bad.

        Raises SettingError where no row has a column that a setting names: a misspelt column would
        have no effect.
        """
        funnel = self._funnel
        missed = missed_columns(
            self._settings, [schema.names for schema in self._schemas.values()], self._checks.seen
        )
        if self.accepted and missed:
            raise SettingError(*missed[0])
        if self.accepted and funnel.bad <= max_bad_share * funnel.read:
            return
        if self.accepted == 0:
            verdict = f"none of the {funnel.read} rows can be used"
        else:
            verdict = (
                f"{funnel.bad} of {funnel.read} rows are bad, more than "
                f"max_bad_share={max_bad_share}"
            )
        first = short_list(funnel.examples[:_SHOWN_EXAMPLES])
        tail = "".join(f"; {name}={value}: {problem}" for name, value, problem in missed)
        text = f"{source}: {verdict} ({funnel.reason_counts()}). First: {first}{tail}"
        raise InputError(text, **({"max_bad_share": max_bad_share} if self.accepted else {}))

    def _draw(self, wanted: int) -> set[int]:
        """Return the indices of `wanted` rows to hold out.

        These are the rows with the smallest digests of seed and content, so that adding a row
        changes few others. A group that would exceed the number is left out as a whole.
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
        """Write the splits, in the order of the rows; return their sizes."""
        self._good.close()
        outputs = {
            name: RowFile(directory / f"{name}.parquet", self._schema.schema())
            for name in ("train", "validation")
        }
        for index, row in enumerate(self._good.rows()):
            outputs["validation" if index in validation else "train"].add(row)
        self._bad.close()
        outputs["rejected"] = RowFile(directory / "rejected.parquet", rejected_schema(self._schema))
        for row in self._bad.rows():
            outputs["rejected"].add(row)
        for output in outputs.values():
            output.close()
        return {name: output.count for name, output in outputs.items()}

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


def rejected_schema(schema: RowSchema) -> pa.Schema:
    """Return the Arrow schema of rejected rows: empty content columns, line, reason and text."""
    return schema.schema(line="int64", reason="string", detail="string", text="string")


def _row_source(row: dict[str, Any]) -> str | None:
    value = row.get("source")
    return value.encode(errors="replace").decode() if isinstance(value, str) and value else None


def _row_text(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, default=str)
    except (RecursionError, ValueError, TypeError):
        return ", ".join(map(str, row))

"""The component `dataset_command`: a user's program that makes a data set, as a stage."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import II

from storm_command.program import Program
from storm_data.dataset import Dataset, DatasetSpec
from storm_data.files.parquet_splits import check_rows, check_schemas
from storm_data.files.split_settings import SplitSettings
from storm_data.rows.chat import ChatFormat, ChatRows
from storm_data.rows.tool_form import ToolForm
from storm_data.sources.dataset_path import DATASET_MENUS
from storm_exp import InputError, StageContext, component, setting
from storm_models.chat.tool_calls import CallSpelling
from storm_models.checkpoint.checkpoint import Checkpoint

_OUT = "out-"


@component(DATASET_MENUS, "dataset_command", version=2, requires=("pyarrow",), extra="train")
class DatasetCommand(SplitSettings, Program):
    """Runs a program that writes a data set to `{out}`.

    It writes either JSONL files of chats, which are checked and split as by `chat_jsonl`, or
    Parquet files named by split, as for `dataset_path`. The command line is split as a shell would,
    but run without a shell. `{model}`, `{data}`, `{out}`, `{scratch}` and `{seed}` are replaced.
    """

    tool_form: ToolForm = ToolForm.template
    """template, storm (the card's prompt), storm_guidelines or parsed: how calls are written."""

    call_spelling: CallSpelling = setting(CallSpelling.json, neutral=CallSpelling.json)
    """json, python, json_name or python_name: how Storm's forms spell a call."""

    seed: int = II("seed")
    """The value of `{seed}` in the command line. It does not choose the held-out rows."""

    places: ClassVar[tuple[str, ...]] = ("model", "data", "out", "scratch", "seed")

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        SplitSettings.__post_init__(self)
        Program.__post_init__(self)

    def row_schema(self, fields: Mapping[str, str]) -> ChatRows:
        """Return the schema of a JSONL file's rows."""
        return ChatRows(ChatFormat.auto, fields, self.tool_form, self.call_spelling)

    def plan_spec(self, **ports: Any) -> DatasetSpec:
        """Check that the program exists; nothing is known of its data."""
        self.check_program()
        return DatasetSpec()

    def run(
        self, stage: StageContext, model: Checkpoint | None = None, data: Dataset | None = None
    ) -> Dataset:
        """Run the program and read its files; raises InputError when they cannot be used."""
        scratch = stage.scratch / "program"
        scratch.mkdir(exist_ok=True)
        for old in stage.scratch.glob(f"{_OUT}*"):
            shutil.rmtree(old, ignore_errors=True)
        # A new folder per attempt: a process of an earlier one may still write to the old one.
        out = Path(tempfile.mkdtemp(prefix=_OUT, dir=stage.scratch))
        reads = model if "{model}" in self.line else None
        values = {
            "model": str(reads.materialise(stage).directory) if reads else "",
            "data": str(data.directory) if data else "",
            "out": str(out),
            "scratch": str(scratch),
        }
        self.execute(stage, values)
        lines, tables = sorted(out.glob("*.jsonl")), sorted(out.glob("*.parquet"))
        if bool(lines) == bool(tables):
            names = ", ".join(sorted(file.name for file in out.iterdir())) or "nothing"
            raise InputError(
                f"the program wrote {names}; expected JSONL files of chats, or Parquet files named "
                "by split (train.parquet)"
            )
        others = sorted(file.name for file in out.iterdir() if file not in (*lines, *tables))
        if others:
            stage.warn(f"files of the program that are not read: {', '.join(others)}"[:500])
        if lines:
            self._read_rows(stage, lines)
        for table in tables:
            shutil.move(table, stage.directory / table.name)
        result = Dataset(stage.directory)
        check_schemas(result)
        check_rows(result)
        if tables:
            stage.metric("train", result.count("train"), main=True)
        return result

    def _read_rows(self, stage: StageContext, files: list[Path]) -> None:
        from storm_data.files.ingest import Ingest
        from storm_data.sources.jsonl_source import take_rows

        settings = dataclasses.replace(self, seed=0)
        total = sum(file.stat().st_size for file in files)
        with (
            Ingest(stage.scratch, self.row_schema(self.fields), self) as ingest,
            stage.progress(total, "bytes", "reading") as progress,
        ):
            for file in files:
                within = file.stem if len(files) > 1 else ""
                take_rows(ingest, file, settings, "command", progress, within)
            ingest.finish(stage, "the program's files")

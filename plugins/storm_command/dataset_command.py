"""The component `dataset_command`: a user's own program that makes a data set, as a kept stage."""

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
    """Runs a program that leaves data in `{out}`, and keeps what it made.

    Either JSONL files of chats, which are checked and split as `chat_jsonl` does, or Parquet files
    named by split, as in `dataset_path`. The command line is split as a shell would, and run
    without one. In it, `{model}`, `{data}`, `{out}`, `{scratch}` and `{seed}` are replaced.
    """

    tool_form: ToolForm = ToolForm.template
    """template, storm (the card's prompt), storm_guidelines or parsed: how calls are written."""

    call_spelling: CallSpelling = setting(CallSpelling.json, neutral=CallSpelling.json)
    """json, python, json_name or python_name: how Storm's forms spell a call."""

    seed: int = II("seed")
    """What `{seed}` in the command line becomes. It does not choose the rows that are held out."""

    places: ClassVar[tuple[str, ...]] = ("model", "data", "out", "scratch", "seed")

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        SplitSettings.__post_init__(self)
        Program.__post_init__(self)

    def row_schema(self, fields: Mapping[str, str]) -> ChatRows:
        """Return how a row of a JSONL file is read."""
        return ChatRows(ChatFormat.auto, fields, self.tool_form, self.call_spelling)

    def plan_spec(self, **ports: Any) -> DatasetSpec:
        """Check that the program exists; nothing is known of what it makes."""
        self.check_program()
        return DatasetSpec()

    def run(
        self, stage: StageContext, model: Checkpoint | None = None, data: Dataset | None = None
    ) -> Dataset:
        """Run the program and take in what it left; raises InputError when that cannot be used."""
        scratch = stage.scratch / "program"
        scratch.mkdir(exist_ok=True)
        for left in stage.scratch.glob(f"{_OUT}*"):
            shutil.rmtree(left, ignore_errors=True)
        # An attempt's own: what an earlier one still writes is nobody's.
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
                f"the program left {names}; expected JSONL files of chats, or Parquet files named "
                "by split (train.parquet)"
            )
        besides = sorted(file.name for file in out.iterdir() if file not in (*lines, *tables))
        if besides:
            stage.say(f"not read of what the program left: {', '.join(besides)}"[:500])
        if lines:
            self._take(stage, lines)
        for table in tables:
            shutil.move(table, stage.directory / table.name)
        made = Dataset(stage.directory)
        check_schemas(made)
        check_rows(made)
        if tables:
            stage.metric("train", made.count("train"), main=True)
        return made

    def _take(self, stage: StageContext, files: list[Path]) -> None:
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
            ingest.finish(stage, "what the program left")

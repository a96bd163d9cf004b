"""The component `chat_jsonl`: a file of chats, a JSON object per line."""

from __future__ import annotations

from pathlib import Path

from omegaconf import MISSING

from storm_data.chat import BadRow, ChatFormat
from storm_data.dataset import Dataset, DatasetForecast
from storm_data.limits import Limits
from storm_exp import SettingError, Stage, component, setting
from storm_exp.digest import FileDigests
from storm_models.location import located

_COLUMNS = ["id", "messages", "source"]


@component("dataset", "chat_jsonl", version=1, requires=("pyarrow",), extra="train")
class ChatJsonl(Limits):
    """Chats from a JSONL file, split into train and validation; bad rows are kept apart.

    Rows hold OpenAI's `messages` or ShareGPT's `conversations`, and may have an `id` and a
    `source`. A bad row is rejected with its line number and reason, and a row whose id or
    content came before is rejected as a duplicate, so nothing is in two splits.
    """

    path: str = setting(MISSING, semantic=False)
    """The file. Its contents enter the key, its place does not."""

    format: ChatFormat = ChatFormat.auto
    """auto, openai, sharegpt or preference."""

    source: str = "chat"
    """The source of rows that name none."""

    def fingerprint(self, files: FileDigests) -> str:
        """Return the digest of the file."""
        return files.digest(self._file())

    def forecast(self) -> DatasetForecast:
        """Return the rows as intervals; raises InputError for an empty file or other formats."""
        from storm_data.lines import count_lines

        rows = count_lines(self._file())
        if self.validation_rows >= rows:
            raise SettingError(
                "validation_rows", self.validation_rows, f"the file has {rows} lines"
            )
        return DatasetForecast(splits=self.splits(rows), columns=_COLUMNS)

    def run(self, stage: Stage) -> Dataset:
        """Read, check and split the rows; raises InputError when too many are bad."""
        from storm_data.intake import Intake
        from storm_data.lines import parse_line, read_lines

        file = self._file()
        longest = 8 * self.max_characters + 65_536
        with (
            Intake(stage.scratch, self.format, self.max_characters) as intake,
            stage.progress(file.stat().st_size, "bytes", "reading") as progress,
        ):
            for number, line, whole in read_lines(file, longest):
                progress.advance(len(line))
                try:
                    if not whole:
                        raise BadRow("enormous", f"a line of more than {longest} bytes")
                    row = parse_line(line)
                except BadRow as error:
                    intake.reject(error, number, self.source, _decoded(line))
                    continue
                intake.take(row, number, self.source, self.seed)
            self.finish(intake, stage, f"path={self.path!r}")
        return Dataset(stage.directory)

    def _file(self) -> Path:
        from storm_data.lines import check_jsonl

        file = located("path", self.path)
        check_jsonl("path", file)
        return file


def _decoded(line: bytes) -> str:
    return line[:8000].decode(errors="replace").rstrip("\n")

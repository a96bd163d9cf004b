"""The component `chat_jsonl`: a file of chats, a JSON object per line."""

from __future__ import annotations

from pathlib import Path

from omegaconf import II, MISSING

from storm_data.chat import BadRow, ChatFormat
from storm_data.dataset import Dataset, DatasetForecast
from storm_data.limits import check_limits, check_split, validation_count
from storm_exp import SettingError, Stage, component, setting
from storm_exp.digest import FileDigests
from storm_models.location import located

_COLUMNS = ["id", "messages", "source"]


@component("dataset", "chat_jsonl", version=1, requires=("pyarrow",), extra="train")
class ChatJsonl:
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

    validation_share: float = 0.05
    """Share of the good rows that is held out, when validation_rows is 0."""

    validation_rows: int = 0
    """Number of rows to hold out."""

    max_bad_share: float = 0.5
    """Share of bad rows above which the file is refused."""

    max_characters: int = 100_000
    """Characters in a conversation above which its row is bad."""

    seed: int = II("seed")
    """Chooses the rows that are held out."""

    def __post_init__(self) -> None:
        check_split(self.validation_share, self.validation_rows)
        check_limits(self.max_bad_share, self.max_characters)

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
        held_out = validation_count(rows, self.validation_share, self.validation_rows)
        least = self.validation_rows
        splits = {
            "train": [1, rows - least],
            "validation": [least, held_out],
            "rejected": [0, rows - 1],
        }
        return DatasetForecast(splits=splits, columns=_COLUMNS)

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
            intake.finish(
                stage,
                f"path={self.path!r}",
                max_bad_share=self.max_bad_share,
                share=self.validation_share,
                rows=self.validation_rows,
            )
        return Dataset(stage.directory)

    def _file(self) -> Path:
        from storm_data.lines import check_jsonl

        file = located("path", self.path)
        check_jsonl("path", file)
        return file


def _decoded(line: bytes) -> str:
    return line[:8000].decode(errors="replace").rstrip("\n")

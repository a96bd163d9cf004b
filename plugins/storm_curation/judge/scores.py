"""The artifact of a judge: its scores of every row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from storm_exp import Artifact, Spec
from storm_report.counted import counted

if TYPE_CHECKING:
    import pyarrow as pa

EDUCATION, DIFFICULTY = "education", "difficulty"
QUESTIONS = (EDUCATION, DIFFICULTY)
OK = "ok"
"""The status of a judged row. Any other status says why a row was not judged."""


@dataclasses.dataclass(kw_only=True)
class ScoresSpec(Spec):
    """What is known of scores before any row is judged."""

    scales: dict[str, list[str]] | None = None
    """Labels per question, from the low to the high end of the scale."""
    rows: list[int] | None = None
    """Rows judged, as a closed interval [lowest, highest]."""

    def agrees(self, field: str, planned: Any, made: Any) -> bool:
        """Return whether as many rows were judged as there might be."""
        if field == "rows":
            return bool(planned[0] <= made[0] and made[1] <= planned[1])
        return super().agrees(field, planned, made)

    def summary(self) -> str:
        """Return, for example, `4000 rows, 2 questions`."""
        if self.rows is None or self.scales is None:
            return ""
        low, high = self.rows
        rows = str(low) if low == high else f"{low}–{high}"
        return f"{rows} rows, {counted(len(self.scales), 'question')}"


class Scores(Artifact):
    """A row per judged row, in the order of the data set's split, in scores.parquet.

    Columns: `id`; `status` (`ok`, or why there is no judgement); `problem` (a sentence, null when
    ok); `tokens_judged` and `tokens_in_all` of the example; and per question `q`: `q_p_<label>`
    (probabilities normalised over the labels), `q_mass` (label mass: the total probability of the
    labels), `q_label` (the most probable label), `q_expected` (mean of the labels' values). These
    are null where the status is not `ok`. `summary.json` holds scales, histograms and, where true
    labels are known, the agreement with them.
    """

    spec_type = ScoresSpec

    def table(self) -> pa.Table:
        """Return the scores as an Arrow table."""
        import pyarrow.parquet as pq

        return pq.read_table(self.directory / "scores.parquet")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the scores row by row, in bounded memory."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.directory / "scores.parquet") as reader:
            for batch in reader.iter_batches(batch_size=1024):
                yield from batch.to_pylist()

    def summary(self) -> dict[str, Any]:
        """Return the contents of summary.json."""
        from storm_models.folder.json_file import read_json

        return read_json(self.directory / "summary.json")

    def spec(self) -> ScoresSpec:
        """Read scales and row count from summary.json."""
        summary = self.summary()
        scales = {name: entry["labels"] for name, entry in summary["questions"].items()}
        return ScoresSpec(scales=scales, rows=[summary["rows"]] * 2)

"""The component `tinyworld_oracle`: curation by the true labels, as by a perfect judge."""

from __future__ import annotations

from storm_curation.selection.splitting import Splitting, curated_spec
from storm_data.dataset import Dataset, DatasetSpec
from storm_exp import InputError, StageContext, component, setting
from storm_tinyworld.skills.basic import DIFFICULTIES


@component("curator", "tinyworld_oracle", version=1)
class TinyworldOracle(Splitting):
    """Applies thresholds to the true educational value and difficulty of the pool's rows."""

    min_education: int = setting(3, at_least=1, at_most=5)
    """The lowest true educational value to keep."""
    difficulties: list[str] = setting(["medium", "hard"], one_of=tuple(DIFFICULTIES))
    """The true difficulties to keep."""

    def __post_init__(self) -> None:
        self.check_sizes()

    def plan_spec(self, data: DatasetSpec) -> DatasetSpec:
        """Check that the data has true labels."""
        if data.columns is not None and "truth_quality" not in data.columns:
            raise InputError("an oracle needs rows with known truth (column truth_quality)")
        return curated_spec(self, data)

    def run(self, stage: StageContext, data: Dataset) -> Dataset:
        """Keep the rows that pass the thresholds."""
        from storm_curation.selection.curated_dataset import divide
        from storm_curation.selection.verdict import Rejection, Verdict

        verdicts: list[Verdict] = []
        for row in data.rows("train"):
            verdict: Verdict = None
            if row["truth_quality"] < self.min_education:
                reason = f"known education {row['truth_quality']} < {self.min_education}"
                verdict = Rejection("education", reason, "min_education")
            elif row["truth_difficulty"] not in self.difficulties:
                reason = f"known difficulty {row['truth_difficulty']}"
                verdict = Rejection("difficulty", reason, "difficulties")
            verdicts.append(verdict)
        return divide(self, stage, data, verdicts, ("education", "difficulty"))

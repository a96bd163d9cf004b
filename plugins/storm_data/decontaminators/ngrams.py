"""The decontaminator `ngrams`: rows that hold questions of evaluations are found by n-grams."""

from __future__ import annotations

from enum import Enum

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.decontamination.row_text import check_columns
from storm_data.questions.questions import Question, Questions, QuestionsSpec
from storm_exp import InputError, SettingError, StageContext, component, setting

MARK = "touches"
"""The column that names the tasks whose questions a row holds."""


class Touched(Enum):
    """What becomes of rows that hold a question."""

    remove = "remove"
    """They go to the split `rejected`, with the reason."""
    mark = "mark"
    """They stay, and the column `touches` names the tasks."""


@component("decontaminator", "ngrams", version=2, requires=("numpy", "pyarrow"), extra="train")
class Ngrams:
    """Finds training rows that hold questions of evaluations, and removes or marks them.

    A row holds a question if enough of the question's different n-grams of words stand near each
    other in it: within one and a half times the question's length. A short question must be there
    as a whole, or others of its template would be taken for it. Case, punctuation, accents and
    white space do not matter (docs/contamination.md). Every hit is kept in `hits.jsonl`. Other
    splits than `train` stay as they are.
    """

    n: int = setting(5, at_least=1, at_most=50, unit="words")
    """The words of an n-gram. Questions with fewer words cannot be found, and are counted."""
    share: float = setting(0.5, above=0, at_most=1)
    """The least share of a question's n-grams for a row to hold it."""
    least: int = setting(20, at_least=1)
    """The least number of a question's n-grams for a row to hold it; all, where it has fewer."""
    most_questions: int = setting(50, at_least=1)
    """n-grams that more questions have are a template of their tasks, and do not count."""
    touched: Touched = Touched.remove
    """remove or mark: what becomes of rows that hold a question."""

    def plan_spec(self, data: DatasetSpec, questions: list[QuestionsSpec]) -> DatasetSpec:
        """Return at most the rows of the data; raises InputError for what cannot be searched."""
        if not questions:
            raise InputError(
                "there are no questions to search for: the port `questions` needs a stage that "
                "yields them, such as questions=task_questions"
            )
        if data.splits is not None and not data.splits.get("train", [0, 0])[1]:
            raise InputError("the data set has no rows in the split 'train'")
        check_columns(data)
        marks = self.touched is Touched.mark
        if marks and data.columns and MARK in data.columns:
            problem = f"the data has a column '{MARK}' already"
            raise SettingError("touched", self.touched.name, problem)
        splits = None
        if data.splits is not None:
            low, high = data.splits["train"]
            splits = {"train": [low if marks else 1, high], "rejected": [0, 0 if marks else high]}
            if "validation" in data.splits:
                splits["validation"] = list(data.splits["validation"])
        columns = [*data.columns, MARK] if data.columns and marks else data.columns
        return DatasetSpec(
            splits=splits,
            columns=columns,
            row_tokens=data.row_tokens,
            expected_rows=data.likely_rows(),
        )

    def run(self, stage: StageContext, data: Dataset, questions: list[Questions]) -> Dataset:
        """Search the rows; raises InputError where no question can be found or no row is left."""
        from storm_data.decontamination.ngram_index import NgramIndex
        from storm_data.decontamination.rows import decontaminate
        from storm_data.decontamination.search import Limits

        every = _joined(questions)
        index = NgramIndex(every, self.n, self.most_questions)
        if not index.totals.any():
            reasons = ", ".join(
                f"{len(some)} {why}" for why, some in index.left_out.items() if some
            )
            problem = (
                f"none of the {len(every)} questions can be found ({reasons}); the longest has "
                f"{index.longest} words"
            )
            raise SettingError("n", self.n, problem)
        return decontaminate(
            stage,
            data,
            index,
            Limits(self.share, self.least),
            mark=MARK if self.touched is Touched.mark else "",
        )


def _joined(parts: list[Questions]) -> list[Question]:
    """Return the questions of all parts, each once; raises InputError for two of one id."""
    known: dict[str, Question] = {}
    for part in parts:
        for question in part.questions():
            if known.setdefault(question.id, question) != question:
                raise InputError(
                    f"two questions have the id {question.id!r}: {known[question.id].text[:60]!r} "
                    f"of {known[question.id].task} and {question.text[:60]!r} of {question.task}"
                )
    return list(known.values())

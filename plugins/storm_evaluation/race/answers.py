"""The answers of the cells of a race, matched by question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from storm_evaluation.comparison.document_matching import match_documents
from storm_evaluation.comparison.inference import pseudo_scores
from storm_evaluation.comparison.significance import Floats
from storm_evaluation.evaluation import Evaluation


def read_answers(folders: Sequence[Sequence[Path]]) -> list[Floats]:
    """Return an array [cells, seeds, questions] for each task, in which more is better.

    `folders` holds the evaluation of every cell and seed. Tasks in which less is better count only
    where there are no others. Raises InputError for evaluations of different questions.
    """
    matched = match_documents([Evaluation(folder) for row in folders for folder in row])
    shares = [task for task in matched if task.higher_is_better]
    shape = (len(folders), len(folders[0]), -1)
    return [
        (1 if shares else -1) * pseudo_scores(task.scores_MN, task.weights_MN).reshape(shape)
        for task in shares or matched
    ]

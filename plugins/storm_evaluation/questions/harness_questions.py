"""The questions of lm-evaluation-harness's tasks, document by document as an evaluation asks."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm_eval.utils import handle_non_serializable

from storm_data.questions.questions import Question
from storm_evaluation.harness.loaded_tasks import HarnessTasks, drawn, opened
from storm_evaluation.harness.task_result import document_names
from storm_evaluation.tasks.settings import TaskSettings


def harness_questions(tasks: HarnessTasks, scratch: Path) -> Iterator[Question]:
    """Yield every question of the tasks, named as the evaluation's records name its document."""
    with opened(tasks, scratch) as (members, loaded):
        for requested, leaves in members.items():
            for leaf in leaves:
                documents = list(_documents(leaf, loaded[leaf], tasks.settings[leaf]))
                names = document_names([f"{leaf}:{_digest(doc)}" for doc in documents])
                for name, doc in zip(names, documents, strict=True):
                    yield Question(name, requested, *_asked(loaded[leaf], doc))


def _documents(name: str, task: Any, settings: TaskSettings) -> Iterator[Any]:
    """Yield the documents of a task that its settings choose, in the task's order."""
    if settings.limit is not None and settings.limit_seed is not None:
        documents = task.eval_docs
        chosen = sorted(drawn(name, len(documents), settings))
        yield from (documents[index] for index in chosen)
    else:
        yield from itertools.islice(task.eval_docs, settings.limit)


def _digest(document: Any) -> str:
    """Return the digest by which the harness knows a document."""
    text = json.dumps(document, indent=2, default=handle_non_serializable, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _asked(task: Any, document: Any) -> tuple[str, str]:
    """Return the text of a question and its right answer.

    Where the choices are beginnings of one continuation (Winogrande), the text is the right
    beginning with it; where there is no prompt (language modelling), it is the target.
    """
    text, target = task.doc_to_text(document), task.doc_to_target(document)
    choices = _choices(task, document)
    if isinstance(text, int) and not isinstance(text, bool):
        beginning = choices[text] if 0 <= text < len(choices) else ""
        return f"{beginning} {target}".strip(), str(target)
    if isinstance(target, int) and 0 <= target < len(choices):
        target = choices[target]
    answer = target if isinstance(target, str) else json.dumps(target, ensure_ascii=False)
    return (str(text) if str(text).strip() else answer), answer


def _choices(task: Any, document: Any) -> list[str]:
    if getattr(task, "OUTPUT_TYPE", None) != "multiple_choice":
        return []
    return [str(choice) for choice in task.doc_to_choice(document)]

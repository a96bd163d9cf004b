"""The component `held_out_questions`: the rows that the evaluators of held-out rows ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from storm_data.dataset import Dataset, DatasetSpec
from storm_data.questions.questions import Question, Questions, QuestionsSpec, numbered, text_digest
from storm_exp import SettingError, StageContext, component
from storm_models.chat.conversation import Conversation, plain_text

_TASK = "held_out"


@component("questions", "held_out_questions", version=1)
class HeldOutQuestions:
    """The rows of a split that is held out, as the evaluators of held-out rows ask them.

    The text of a chat is what stands before its last answer, without a system prompt, that of a
    pair its prompt, that of a document all of it. All rows of the split are taken, also those
    beyond an evaluator's `limit`.
    """

    split: str = "validation"
    """The split of the data that is asked."""

    def plan_spec(self, data: DatasetSpec) -> QuestionsSpec:
        """Return the number of rows; raises SettingError for a split without any."""
        if data.splits is None:
            return QuestionsSpec(tasks=[_TASK])
        low, high = data.splits.get(self.split, [0, 0])
        if high == 0:
            names = ", ".join(data.splits) or "none"
            raise SettingError("split", self.split, f"has no rows; the data set has: {names}")
        return QuestionsSpec(tasks=[_TASK], questions=low if low == high else None)

    def run(self, stage: StageContext, data: Dataset) -> Questions:
        """Read the split."""
        read = [_question(row) for row in data.rows(self.split)]
        names = numbered(question.id for question in read)
        questions = Questions(stage.directory)
        questions.write(
            Question(name, _TASK, question.text, question.target)
            for name, question in zip(names, read, strict=True)
        )
        stage.metric("questions", len(read), main=True)
        return questions


def _question(row: Mapping[str, Any]) -> Question:
    from storm_evaluation.held_out.continuation import document_digest

    if row.get("text") is not None:
        return Question(text_digest(row["text"]), _TASK, row["text"])
    if row.get("messages") is not None:
        chat = Conversation.of(row)
        turns = row["messages"]
        end = (chat.answers() or [len(turns)])[-1]
        answer = plain_text(turns[end]) if end < len(turns) else ""
        return Question(document_digest(chat), _TASK, _text(turns[:end]), answer)
    chat = Conversation.of(row, "prompt") + Conversation.of(row, "chosen")
    answer = "\n".join(plain_text(turn) for turn in row["chosen"])
    return Question(document_digest(chat), _TASK, _text(row["prompt"]), answer)


def _text(turns: list[dict[str, Any]]) -> str:
    asked = [turn for turn in turns if turn["role"] != "system"] or turns
    return "\n".join(plain_text(turn) for turn in asked)

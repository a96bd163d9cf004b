"""Asking a model the questions of a suite, and scoring the calls in its answers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from storm_data.rows.tool_form import ToolForm
from storm_evaluation.function_calling.berkeley import shown
from storm_evaluation.function_calling.checker import mistake
from storm_evaluation.function_calling.suite import Expected, Question, Suite
from storm_evaluation.harness.kept_answers import KeptAnswers
from storm_evaluation.sample import Sample, shorten, shorten_front
from storm_exp import StageContext
from storm_inference.engines.engine import Engine, Sampling
from storm_inference.generation import EMPTY, Answer, Generator
from storm_inference.shards import Shards
from storm_inference.shots import Shots
from storm_models.chat.tool_calls import CallSpelling, MalformedCall, parse_answer
from storm_models.checkpoint.checkpoint import Checkpoint

MALFORMED, CALLED, NOT_CALLED = "malformed call", "unexpected call", "no call"
"""Mistakes that are detected before calls are compared."""

Scored = tuple[Sample, str]
"""A question's score, and the answer's mistake, empty if it is right."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """Form of the prompts, and limits of the answers."""

    tool_form: ToolForm
    spelling: CallSpelling
    batch_size: int | None
    """None: all questions of a category."""
    max_new_tokens: int


def ask(
    stage: StageContext,
    model: Checkpoint,
    suite: Suite,
    chosen: dict[str, list[Question]],
    asked: Asked,
    open_engine: Callable[[], Engine],
    kept: Mapping[str, KeptAnswers],
) -> Iterator[tuple[str, list[Scored]]]:
    """Yield every category with the scores of its `chosen` questions, in order.

    Answers are taken from what is `kept` of a category, and kept. Finished shards of a category are
    in the stage's scratch and survive a crash.
    """
    generator = Generator(
        model,
        Sampling(max_new_tokens=asked.max_new_tokens),
        Shots([], 0, "", 0),
        unfinished=True,
        batch_size=asked.batch_size,
        open_engine=open_engine,
        shards=Shards(stage),
    )
    total = sum(map(len, chosen.values()))
    with (
        contextlib.closing(generator),
        stage.progress(total, "questions", "calling") as progress,
    ):
        for category, questions in chosen.items():
            rows = [row(question, asked.tool_form, asked.spelling) for question in questions]

            def together(indices: Sequence[int], rows: list[dict[str, Any]] = rows) -> list[Answer]:
                chosen = [rows[index] for index in indices]
                return generator.answer_together(chosen, progress.advance)

            numbers = range(len(rows))
            answers = (
                kept[category].answer("calls", rows, numbers, together, progress.advance)
                if category in kept
                else together(numbers)
            )
            expected = suite.expected(category)
            yield (
                category,
                [
                    _scored(category, question, answer, expected, asked.tool_form)
                    for question, answer in zip(questions, answers, strict=True)
                ],
            )


def row(question: Question, form: ToolForm, spelling: CallSpelling) -> dict[str, Any]:
    """Return a question as a row of a chat data set, with its tools in the given form."""
    messages: list[dict[str, Any]] = [dict(message) for message in question.messages]
    functions = [{"type": "function", "function": shown(each)} for each in question.functions]
    messages, tools = form.written(messages, functions, spelling)
    return {"id": question.id, "messages": messages, "tools": json.dumps(tools) if tools else None}


def judge(text: str, question: Question, expected: Expected, *, bare: bool = False) -> str:
    """Return an answer's mistake, empty if it is right.

    If any call, or none, is expected, a malformed call counts as none, as on the leaderboard.
    `bare`: calls may have no tags, as with a model's own chat template.
    """
    try:
        calls = parse_answer(text, bare=bare).calls
    except MalformedCall:
        if expected is Expected.calls:
            return MALFORMED
        calls = []
    if expected is Expected.nothing:
        return CALLED if calls else ""
    if expected is Expected.something:
        return "" if calls else NOT_CALLED
    assert question.accepted is not None
    return mistake(calls, question.functions, question.accepted)


def _scored(
    category: str, question: Question, answer: Answer, expected: Expected, form: ToolForm
) -> Scored:
    text, problem = answer
    wrong = judge(text, question, expected, bare=form is ToolForm.template)
    if problem and problem != EMPTY and not text:  # the model could not be asked
        wrong = problem
    accepted = question.accepted if question.accepted is not None else expected.value
    sample = Sample(
        task=category,
        document=question.id,
        score=0.0 if wrong else 1.0,
        prompt=shorten_front(question.messages[-1]["content"]),
        prediction=shorten(text),
        target=shorten(accepted),
    )
    return sample, wrong

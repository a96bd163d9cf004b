"""Held-out rows as requests to the harness."""

from __future__ import annotations

from collections import Counter
from typing import Any

import datasets

from storm_evaluation.harness.harness import Harness
from storm_evaluation.harness.loaded_tasks import HarnessTasks
from storm_evaluation.harness.task_result import TaskResult
from storm_evaluation.held_out.continuation import Continuation, Question, Questions
from storm_evaluation.sample import Sample, hash_prompt, shorten, shorten_front
from storm_evaluation.tasks.settings import TaskSettings
from storm_exp import InputError


def score_answers(
    harness: Harness, continuations: list[Continuation], task: str
) -> tuple[list[Sample], int]:
    """Return every answer's mean negative log-likelihood per token, and how many were truncated.

    The number of tokens, end of turn included, is the sample's weight: the weighted mean is the
    loss per supervised token, as in training.
    """
    model = harness.language_model
    model.note_beginning(continuations[0].prompt)
    requests = [(turn.prompt, turn.answer[: model.max_length]) for turn in continuations]
    cut = sum(len(turn.answer) > model.max_length for turn in continuations)
    likelihoods = model.score_tokens(requests)
    samples, seen = [], Counter[str]()
    for turn, (_, answer), likelihood in zip(continuations, requests, likelihoods, strict=True):
        seen[turn.document] += 1
        samples.append(
            Sample(
                task=task,
                document=f"{turn.document}-{seen[turn.document]}",
                score=-likelihood / len(answer),
                weight=float(len(answer)),
                prompt_hash=hash_prompt(turn.prompt),
                prompt=shorten_front(model.tokenizer.decode(turn.prompt)),
                target=shorten(model.tokenizer.decode(turn.answer)),
                log_likelihoods=[likelihood],
            )
        )
    return samples, cut


def score_choices(
    harness: Harness, rendering: Questions, questions: list[Question], task: str, seed: int
) -> list[Sample]:
    """Score the questions as a multiple-choice task of the harness; the scores are acc_norm.

    Raises InputError for a choice that leaves no room for its question.
    """
    model = harness.language_model
    longest = max(
        (choice for question in questions for choice in question.choices),
        key=lambda text: len(model.tok_encode(text, add_special_tokens=False)),
    )
    tokens = len(model.tok_encode(longest, add_special_tokens=False))
    if tokens > model.max_length // 2:
        raise InputError(
            f"an answer of {len(longest)} characters is {tokens} tokens, more than half of "
            f"max_length ({model.max_length}): lower choice_characters"
        )
    rows = [
        {"prompt": rendering.prompt(q.chat), "choices": q.choices, "target": q.target}
        for q in questions
    ]

    harness.rendered = [str(row["prompt"]) for row in rows] if rendering.templated else []

    def load(**_: Any) -> dict[str, datasets.Dataset]:
        return {"test": datasets.Dataset.from_list(rows)}

    config = {
        "task": task,
        "dataset_path": "held-out rows",
        "custom_dataset": load,
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": lambda row: row["prompt"],
        "doc_to_choice": lambda row: row["choices"],
        "doc_to_target": lambda row: row["target"],
        "target_delimiter": "",
        "metric_list": [{"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True}],
    }
    settings = TaskSettings(apply_chat_template=False, batch_size=model.batch_size)
    results: list[TaskResult] = []
    harness.evaluate(HarnessTasks((config,), None, {task: settings}, seed), results.append)
    return results[0].samples

"""What a limit has asked, another limit does not ask again."""

from __future__ import annotations

import itertools
import json

import pytest

from storm_evaluation.harness.kept_answers import piece_of
from storm_models.checkpoint.checkpoint import Checkpoint

ROWS = 120
KINDS = {"choose": 2, "write": 1, "read": 1}
"""Tasks of each type of request, and their requests of a question."""


@pytest.fixture
def folder(folder):
    rows = [
        {"question": f"{n}?" + "?" * (n % 7), "answer": str(n), "choices": [str(n), str(n + 1)]}
        for n in range(ROWS)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "numbers.jsonl").write_text(lines, encoding="utf-8")
    (folder / "read.yaml").write_text(
        "include: _numbers\ntask: read\noutput_type: loglikelihood_rolling\ndoc_to_text: ''\n"
        "doc_to_target: question\nprocess_results: !function scoring.of_text\n"
        "metric_list: [{metric: surprise, aggregation: mean, higher_is_better: false}]\n"
    )
    with (folder / "scoring.py").open("a", encoding="utf-8") as file:
        file.write("def of_text(doc, results):\n    return {'surprise': -results[0]}\n")
    return folder


def test_pieces_end_where_a_limit_doubles():
    numbers = [piece_of(position) for position in range(400)]
    assert [len(list(own)) for _, own in itertools.groupby(numbers)] == [25, 25, 50, 100, 200]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("drawn", [{}, {"limit_seed": 3}])
@pytest.mark.parametrize("task", KINDS)
def test_a_larger_limit_asks_what_is_new_and_a_smaller_one_nothing(
    evaluating, model, checkpoint, task: str, drawn: dict[str, int]
):
    settings = {"batch_size": 8, "max_new_tokens": 2, **drawn}
    at_once = {limit: evaluating(checkpoint, task, limit=limit, **settings) for limit in (25, 100)}
    assert evaluating.asked == 100 * KINDS[task]
    assert evaluating(model, task, limit=25, **settings) == at_once[25]
    assert evaluating.asked == 25 * KINDS[task]
    assert evaluating(model, task, limit=100, **settings) == at_once[100]
    assert evaluating.asked == 75 * KINDS[task]
    other = Checkpoint(model.directory, "0" * 64)
    assert evaluating(other, task, limit=100, **settings) == at_once[100]
    assert evaluating.asked == 100 * KINDS[task]
    assert evaluating(other, task, limit=25, **settings) == at_once[25]
    assert evaluating.asked == 0


def test_a_limit_within_a_piece_asks_that_piece_alone_again(evaluating, model, checkpoint):
    evaluating(model, "choose", limit=30)
    at_once = evaluating(checkpoint, "choose", limit=60)
    assert evaluating(model, "choose", limit=60) == at_once
    assert evaluating.asked == 35 * 2
    evaluating(model, "choose", limit=1000)
    assert evaluating.asked == 70 * 2, "all that there are"


def test_another_draw_or_setting_takes_over_nothing_that_it_may_not(evaluating, model):
    evaluating(model, "choose", limit=25, limit_seed=0)
    evaluating(model, "choose", limit=25, limit_seed=1)
    assert evaluating.asked == 50
    evaluating(model, "choose", limit=50, limit_seed=0, batch_size=4)
    assert evaluating.asked == 100
    evaluating(model, "choose", limit=None)
    assert evaluating.asked == ROWS * 2, "all questions are asked together"


def test_a_killed_evaluation_of_more_questions_goes_on(evaluating, model, checkpoint):
    settings = {"limit": 50, "batch_size": 1}
    whole = evaluating(checkpoint, "choose", **settings)
    evaluating(model, "choose", limit=25, batch_size=1)
    evaluating.dies_at = 30
    with pytest.raises(KeyboardInterrupt):
        evaluating(model, "choose", stage="killed", **settings)
    evaluating.dies_at = float("inf")
    assert evaluating(model, "choose", stage="killed", **settings) == whole
    assert evaluating.asked == 50 - 30


def test_drawn_answers_are_asked_for_together(evaluating, model, checkpoint, folder):
    text = (folder / "write.yaml").read_text(encoding="utf-8")
    text = text.replace("do_sample: false", "do_sample: true, temperature: 1.0")
    (folder / "write.yaml").write_text(text, encoding="utf-8")
    at_once = evaluating(checkpoint, "write", limit=50)
    evaluating(model, "write", limit=25)
    assert evaluating(model, "write", limit=50) == at_once
    assert evaluating.asked == 50, "an answer depends on those that were drawn before it"

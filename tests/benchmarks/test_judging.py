"""The benchmark of judging: what it asks, and what it says of figures that are known."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("STORM_EXP_BENCH", str(tmp_path))
    yield importlib.import_module
    for file in BENCHMARKS.glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.mark.slow
def test_a_row_has_two_questions_on_one_chat_and_a_prompt_for_json(module, tmp_path):
    judging, ways = module("judging"), module("judging_ways")
    models = module("training_gpu_models")
    config = judging.SMOLLM2 | models.TINY
    model = judging.make_random_model(tmp_path / "model", config, models.torch.float32)
    chats = judging.long_chats(3)
    rows = ways.prepare(model, chats, judging.MAX_LENGTH)
    tokenizer = model.tokenizer()
    for chat, questions, written in zip(chats, rows.questions, rows.written, strict=True):
        texts = [tokenizer.decode(ids) for ids in (*questions, written)]
        assert len(questions) == 2 and all(chat.answer in text for text in texts)
        assert "Educational value" in texts[0] and "How difficult" in texts[1]
        assert "JSON" in texts[2]
        assert len(written) > 128, "shorter than a block of the prefix cache"
    assert [len(labels) for labels in rows.labels] == [5, 3]
    assert tokenizer.convert_ids_to_tokens(rows.labels[1]) == ["A", "B", "C"]


def known(module, written: float, apart_tokens: float):
    """Return runs of ten rows in which only these two differ between tests."""
    rounds, ways = module("judging_rounds"), module("judging_ways")
    logs = [[[-1.0, -2.0], [-0.5, -0.7]]] * 10
    seconds = dict.fromkeys(rounds._NAMES, 10.0) | {rounds.WRITTEN: written}
    tokens = dict.fromkeys(rounds._NAMES, 1000.0) | {rounds.APART: apart_tokens}
    asked = {rounds.TRANSFORMERS, rounds.APART, rounds.PAIRED}
    return {
        name: [ways.Taken(seconds[name], tokens[name], logs if name in asked else [])]
        for name in rounds._NAMES
    }


def test_bars_are_met_and_missed(module):
    rounds, ways = module("judging_rounds"), module("judging_ways")
    rows = ways.Rows([[[1], [1]]] * 10, [[1, 2], [3, 4]], [[1]] * 10)
    met = rounds.describe(known(module, 101.0, 1300.0), rows)
    assert "10.10 times as fast" in met and "0.77 of the prompt tokens" in met
    assert met.count("the bar is met") == 2 and "missed" not in met
    missed = rounds.describe(known(module, 41.0, 1200.0), rows)
    assert "4.10 times as fast" in missed and "0.83 of the prompt tokens" in missed
    assert missed.count("the bar is missed") == 2
    # 31 further tokens a row take 3.1 s more; a token of a prompt takes 1 s / 100.
    assert "one of an answer 100.000 ms,\n  10.0 times as much" in missed


def test_labels_that_differ_are_seen_wherever_they_are(module):
    rounds, ways = module("judging_rounds"), module("judging_ways")
    taken = known(module, 10.0, 1000.0)
    assert rounds.furthest(taken) == 0
    other = [[[-1.0, -2.0], [-0.5, -0.7]]] * 9 + [[[-1.0, -2.0], [-0.5, -0.75]]]
    taken[rounds.PAIRED].append(ways.Taken(1.0, 1.0, other))
    assert rounds.furthest(taken) == pytest.approx(0.05)

"""The benchmark of planted leaks, on fewer rows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from storm_data.decontaminators.ngrams import Ngrams
from storm_tinyworld.corpora.leaks import LEAKS, WHOLE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import contamination

    monkeypatch.setattr(contamination, "QUICK", ("jinja2", "yaml", "filelock"))
    yield contamination
    for name in ("contamination", "results"):
        sys.modules.pop(name, None)


def test_whole_questions_are_found_and_no_clean_row_unless_too_little_is_asked(benchmark_module):
    loose = Ngrams(n=3, share=0.3, least=1)
    usual, other = benchmark_module.tried(1500, 40, 0, True, Ngrams(), loose)
    assert {family: usual.recall(family) for family in WHOLE} == dict.fromkeys(WHOLE, 1.0)
    assert not usual.alarms
    assert all(usual.planted[family] > 30 for family in LEAKS)
    assert "| verbatim | 1.000" in benchmark_module.body(usual)
    # With lower bars the same rows are taken for leaks: they could be.
    assert other.false_alarm_rate > 0.01
    assert other.recall("masked words") > usual.recall("masked words") + 0.3

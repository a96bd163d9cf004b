"""The comparison of training: what it says of figures that are known."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SPEED = {"storm": 90.0, "plain loop, packed": 100.0}
"""Tokens per second; of all other ways 40."""


@pytest.fixture
def training(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import training

    yield training
    for file in BENCHMARKS.glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.mark.parametrize("objective", ["sft", "dpo"])
@pytest.mark.parametrize("model", ["small", "smollm2"])
def test_the_section_holds_every_way_to_its_bar(training, model, objective, monkeypatch):
    written: list[tuple[str, str, str]] = []

    def keep(title, command, body, packages):
        written.append((title, command, body))

    def measured(name):
        return {
            "tokens": [100, 100],
            "counted": [50, 50],
            "supervised": [50, 50],
            "losses": [2.0, 1.0],
            "tokens_per_second": SPEED.get(name, 40.0),
            "tokens_per_processor_second": 20.0,
            "filled": 0.9,
            "peak_bytes": 2**30,
            "held_out": 1.0,
            "load": 0.5,
            "reference_seconds": 1.0,
        }

    monkeypatch.setattr(training, "write_section", keep)
    names = training.ways(objective, 1)
    runs = {name: [measured(name)] for name in names}
    best = {name: {"precision": "float32"} for name in names}
    plan = {"rows": 2, "batch": 1, "threads": 1}
    training.report(objective, model, "float32", plan, {}, best, runs)
    (title, command, body) = written[0]
    assert title == f"Training against TRL: {objective}" + (", smollm2" * (model == "smollm2"))
    assert ("--model smollm2" in command) == (model == "smollm2")
    bar = training.BARS[model, objective]
    said = "met" if bar <= 2.25 else "missed"
    assert f"TRL, at random: 2.25 ×, {said}" in body
    assert ("plain loop, packed: 0.90 ×, missed" in body) == (objective == "sft")

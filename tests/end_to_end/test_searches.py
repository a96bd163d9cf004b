"""Sweeps that choose their cells, on the miniature."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm_exp.testing import run

SMALL = ("recipe=smoke", "targets=[evaluator]", "graph.evaluator.model=[merger]")


@pytest.mark.slow
def test_a_search_for_the_weight_of_a_merge_trains_once(tmp_path: Path) -> None:
    words = ("-m", "hydra/sweeper=optuna", "merger.t=interval(0,1)", "hydra.sweeper.n_trials=4")
    found = run(tmp_path, *words, "hydra.sweeper.batch=2", *SMALL)
    assert found.code == 0, found.err
    assert found.record is not None
    stages = found.record.stages()
    counts = {name: sum(s.stage == name for s in stages) for name in ("finetuner", "merger")}
    assert counts == {"finetuner": 1, "merger": 4}
    assert all(stage.status in ("kept", "not needed") for stage in stages)
    weights = [cell.overrides[-1].partition("=")[2] for cell in found.record.cells]
    assert len(set(weights)) == 4
    assert all(0 <= float(weight) <= 1 for weight in weights)
    notes = (tmp_path / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert "Search by optuna (tpe)" in notes


@pytest.mark.slow
def test_a_race_of_merges_asks_few_questions_first(tmp_path: Path) -> None:
    words = ("-m", "hydra/sweeper=race", "merger.t=0.0,0.5,1.0", "seed=0,1")
    found = run(tmp_path, *words, "hydra.sweeper.questions=[3]", *SMALL)
    assert found.code == 0, found.err
    assert "race: 3 of 3 cells, 3 questions a task, 1 seed" in found.err
    assert found.record is not None
    assert all(stage.status in ("kept", "not needed") for stage in found.record.stages())
    # Six questions tell none of these apart, and so they all survive.
    assert len(found.record.cells) == 6
    assert "race     3 cells, 3 left after all questions, 2 seeds" in found.out

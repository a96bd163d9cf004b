"""`smoke` computes what it computed when its figures were kept.

smoke.json is written by `python benchmarks/golden.py keep tests/golden/smoke.json smoke --summary`,
where a change of what is computed is meant.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from end_to_end.workplace import Workplace

KEPT = Path(__file__).with_name("smoke.json")
TOLERANCE = 1e-4
"""Other processors and numbers of threads moved no figure by more than a hundredth of this."""


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import golden

    yield golden
    sys.modules.pop("golden")


def test_smoke_has_the_figures_that_were_kept(golden: Any, smoked: Workplace) -> None:
    figures = golden.figures_of_run(smoked.folder / "outputs/latest", summary=True)
    moved, _ = golden.differences(golden.read(KEPT)[1]["smoke"], figures, TOLERANCE)
    assert not moved, "\n".join(moved)


def test_the_kept_figures_hold_losses_scores_tables_and_counts(golden: Any) -> None:
    kept = golden.read(KEPT)[1]["smoke"]
    assert len(kept["base_model: training.json .steps[].loss"]) == 30
    assert len(kept["finetuner: training.json .steps[].loss"]) == 4
    assert len(kept["scanner: layers.json .modules[].snr"]) == 14
    assert kept["curator: funnel.json .splits.train"] == [86]
    assert "evaluator[merger]: evaluation.json .tasks.tinyworld_reasoning.score" in kept

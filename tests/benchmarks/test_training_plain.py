"""The plain loop that training is measured against, in miniature: an oracle of ours as well."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = [file.stem for file in BENCHMARKS.glob("training*.py")]


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Return a function that trains on a few chats in one way, and says how it went."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import training_data
    import training_plan
    import training_side

    model = training_data.make_trained_model(tmp_path / "model", layers=1, hidden=48)

    def train(side, **options):
        plan = training_plan.Plan(
            side=side, objective="sft", model=str(model), rows=8, held_out=0, precision="float32",
            threads=1, **options,
        )  # fmt: skip
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        way = {"storm": training_side._storm, "plain": training_side._plain}[side]
        return way(plan, training_data.chats(8), folder)[1]

    yield train
    for name in (*MODULES, "results"):
        sys.modules.pop(name, None)


@pytest.mark.slow
def test_a_plain_loop_on_our_rows_has_our_losses(run):
    ours, plain = run("storm", epochs=3), run("plain", packed=1024, epochs=3)
    assert len(ours.losses) > 1
    assert plain.rates == pytest.approx(ours.rates, rel=1e-6)
    assert plain.losses == pytest.approx(ours.losses, rel=1e-4)
    for figure in ("tokens", "positions", "supervised"):
        assert getattr(plain, figure) == getattr(ours, figure)


@pytest.mark.slow
def test_padded_it_sees_the_same_tokens(run):
    ours, padded = run("storm"), run("plain", batch=4)
    assert sum(padded.tokens) == sum(ours.tokens)
    assert sum(padded.supervised) == sum(ours.supervised)
    assert sum(padded.positions) > sum(padded.tokens)

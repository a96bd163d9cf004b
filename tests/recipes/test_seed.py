"""What a recipe's seed moves, and what it leaves alone."""

from __future__ import annotations

import json

import pytest

from storm_curation.selection.splitting import HeldOut
from storm_models.testing import make_checkpoint


@pytest.fixture
def own(tmp_path):
    """Overrides that name a model and chats of one's own."""
    model = make_checkpoint(tmp_path / "model", max_position_embeddings=4096).directory
    turns = [
        [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": f"{n}."}]
        for n in range(60)
    ]
    chats = tmp_path / "chats.jsonl"
    chats.write_text("\n".join(json.dumps({"messages": turn}) for turn in turns), encoding="utf-8")
    return ["recipe=storm_own", f"base_model.path={model}", f"dataset.path={chats}"]


def test_a_seed_moves_no_question_and_judges_nothing_again(planned, own):
    runs = [planned(*own, f"seed={seed}") for seed in range(3)]
    for stage in ("dataset", "judge", "evaluator[base_model]"):
        assert len({nodes[stage].key for nodes in runs}) == 1, stage
    assert len({nodes["finetuner"].key for nodes in runs}) == 3


def test_the_questions_of_the_miniature_stay_when_its_seed_moves(planned):
    runs = [planned("recipe=storm", f"seed={seed}") for seed in range(2)]
    assert len({nodes["evaluator[base_model]"].key for nodes in runs}) == 1


def test_curated_and_uncurated_arms_are_scored_on_the_same_rows(planned, own):
    nodes = planned(*own)
    splits = [nodes[stage].spec.splits["validation"] for stage in ("curator", "dataset")]
    assert splits[0] == splits[1]
    assert nodes["curator"].settings.held_out is HeldOut.data

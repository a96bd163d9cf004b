"""Batches are shared by a rule that knows nothing of the workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm_exp.testing import make_stage
from storm_inference.batches import SHARDS, answer_batches, digest_of, shards_of
from storm_inference.shards import Shards, claimed


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_shards_hold_every_batch_once_in_order(count: int) -> None:
    batches = [[number] for number in range(count)]
    shards = shards_of(batches)
    assert [batch for shard in shards for batch in shard] == batches
    assert len(shards) <= SHARDS and all(shards)


def test_answers_stand_in_the_order_of_the_requests_and_are_computed_once(tmp_path: Path) -> None:
    stage, asked, heard = make_stage(tmp_path), [], []

    def answer(batch):
        asked.append(tuple(batch))
        return [index * 0.1 for index in batch]

    batches = [[3, 1], [4], [0, 2]]
    for _ in range(2):
        found = answer_batches(Shards(stage), "x", shards_of(batches), answer, heard.append)
        assert found == [0.0, 0.1, 0.2, 0.1 * 3, 0.4]
    assert asked == [(3, 1), (4,), (0, 2)]
    assert heard == [2, 1, 2], "of those that were there the second time"


def test_what_another_worker_has_taken_is_waited_for(tmp_path: Path) -> None:
    stage, asked = make_stage(tmp_path), []
    with claimed(stage.scratch / "x-0.json"):

        def answer(batch):
            asked.append(batch)
            if batch == [1]:  # the other one is done
                (stage.scratch / "x-0.json").write_text('[["theirs"]]')
            return ["ours"]

        batches = shards_of([[0], [1]])
        found = answer_batches(Shards(stage), "x", batches, answer, lambda requests: None)
    assert found == ["theirs", "ours"]
    assert asked == [[1]]


def test_what_a_worker_that_died_had_taken_is_made_by_another(tmp_path: Path) -> None:
    stage = make_stage(tmp_path)
    with claimed(stage.scratch / "x-0.json"):
        pass
    found = answer_batches(Shards(stage), "x", [[[0]]], lambda batch: ["ours"], lambda n: None)
    assert found == ["ours"]


def test_other_requests_have_another_digest() -> None:
    assert len({digest_of(v) for v in ([1, 2], [12], [[1, 2]], ["1", 2], [1, 2, None])}) == 5

"""A shard is one worker's at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm_inference.shards import claimed


def test_a_shard_is_taken_by_one_until_it_is_done_with_it(tmp_path: Path) -> None:
    shard = tmp_path / "shard.json"
    with claimed(shard) as first, claimed(shard) as second:
        assert first and not second
    with claimed(shard) as third:
        assert third


def test_a_claim_ends_with_an_error(tmp_path: Path) -> None:
    shard = tmp_path / "shard.json"
    with pytest.raises(RuntimeError), claimed(shard):
        raise RuntimeError
    with claimed(shard) as again:
        assert again

"""A shard is processed by one worker at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm_inference.shards import claimed


def test_a_shard_is_locked_until_its_worker_is_done(tmp_path: Path) -> None:
    shard = tmp_path / "shard.json"
    with claimed(shard) as first, claimed(shard) as second:
        assert first and not second
    with claimed(shard) as third:
        assert third


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    shard = tmp_path / "shard.json"
    with pytest.raises(RuntimeError), claimed(shard):
        raise RuntimeError
    with claimed(shard) as again:
        assert again

"""A judge asks a pool of running servers that demand a key, and is killed meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from end_to_end.workplace import Workplace
from stand_in import StandIn, running
from storm_exp.testing import make_stage
from storm_inference.servers.identity import canary
from storm_models.checkpoint.checkpoint import Checkpoint

KEY = "sk-nobody-may-see-this"
ROWS, SHARD = 96, 8


@pytest.fixture
def servers(
    warm: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[StandIn]]:
    """Two servers of the base model of `smoke`, by what tells it from another one."""
    monkeypatch.setenv("STORM_TEST_KEY", KEY)
    warm.run("recipe=smoke", "targets=[base_model]")
    model = Checkpoint(Path(warm.stages()[0]["directory"]))
    own = canary(make_stage(tmp_path, "canary"), model)
    with running() as first, running() as second:
        for server in (first, second):
            server.canary, server.key = own, KEY
        yield [first, second]


def words(servers: list[StandIn]) -> list[str]:
    urls = ",".join(server.url for server in servers)
    return [
        "recipe=smoke",
        "targets=[judge]",
        f"judge.shard_rows={SHARD}",
        "inference=server",
        f"inference.urls=[{urls}]",
        "inference.requests=1",
        "inference.api_key_variable=STORM_TEST_KEY",
    ]


def asked(servers: list[StandIn]) -> int:
    """Return how many rows were asked for, by two questions each, since the last call."""
    rows = sum(len(body["prompt"]) // 2 for server in servers for body in server.asked)
    for server in servers:
        server.asked.clear()
    return rows


@pytest.mark.slow
def test_a_run_that_was_killed_asks_only_for_what_is_missing(
    servers: list[StandIn], warm: Workplace, tmp_path: Path
) -> None:
    other = Workplace(tmp_path / "other")
    subprocess.run(["cp", "-a", str(warm.folder / "outputs"), str(other.folder)], check=True)

    process = warm.start(*words(servers))
    count = 0

    def kill_at_the_tenth(body: dict[str, Any]) -> None:
        nonlocal count
        count += 1
        if count == 10:
            os.kill(process.pid, signal.SIGKILL)

    servers[0].before = servers[1].before = kill_at_the_tenth
    assert process.wait() == -signal.SIGKILL
    first = asked(servers)
    assert SHARD < first < ROWS
    servers[0].before = servers[1].before = lambda body: None

    said = warm.run(*words(servers))
    again = asked(servers)
    # The shard that it was in is asked for again, and no other one.
    assert ROWS < first + again <= ROWS + SHARD
    assert warm.made() == {"judge": 1}
    # It is what a run that nobody killed makes.
    other.run(*words(servers))
    assert asked(servers) == ROWS
    assert warm.digests() == other.digests()

    # Nothing has the key: neither what was said, nor a file.
    files = [file for file in warm.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in said and len(files) > 20


@pytest.mark.slow
def test_a_key_that_servers_do_not_accept_is_said_and_not_shown(
    servers: list[StandIn], warm: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORM_TEST_KEY", "sk-wrong")
    said = warm.run(*words(servers), code=1)
    assert "HTTP 401" in said and "it demands another key (inference.api_key_variable" in said
    assert "sk-wrong" not in said

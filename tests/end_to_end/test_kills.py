"""Runs that are killed, and runs that race."""

from __future__ import annotations

import re
import signal
import time

import pytest

from end_to_end.workplace import Workplace

STARTED = re.compile(r"^\[\d+/\d+\] (\w+)")


def kill_in_next_kind_of_stage(place: Workplace, seen: set[str]) -> bool:
    """Run `smoke` until a stage begins whose kind was not killed yet, then SIGKILL it."""
    process = place.start("recipe=smoke")
    assert process.stdout is not None
    for line in process.stdout:
        match = STARTED.match(line)
        if match and match.group(1) not in seen:
            seen.add(match.group(1))
            time.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            # Short stages may have begun meanwhile, and ended before they could be killed alone.
            rest = process.communicate()[0].splitlines()
            seen |= {match.group(1) for line in rest if (match := STARTED.match(line))}
            return True
    assert process.wait() == 0
    return False


@pytest.mark.slow
def test_killed_in_each_kind_of_stage_a_run_ends_in_the_same_bits(
    smoked: Workplace, place: Workplace
) -> None:
    killed: set[str] = set()
    published: dict[str, int] = {}
    while kill_in_next_kind_of_stage(place, killed):
        inodes = place.inodes()
        assert published.items() <= inodes.items(), "something published was made again"
        published = inodes
    assert published.items() <= place.inodes().items()
    assert killed == {stage["stage"] for stage in smoked.stages()}
    assert place.digests() == smoked.digests()
    assert not list((place.folder / "outputs/store").glob("artifacts/??/.partial-*"))


@pytest.mark.slow
def test_eight_processes_make_each_stage_once(smoked: Workplace, place: Workplace) -> None:
    processes = [place.start("recipe=smoke") for _ in range(8)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outputs
    runs = [folder.name for folder in (place.folder / "outputs/runs").iterdir()]
    made = [
        stage["key"]
        for run in runs
        for stage in place.stages(f"runs/{run}")
        if stage["status"] == "made"
    ]
    assert len(runs) == 8
    assert sorted(made) == sorted(smoked.digests())
    assert place.digests() == smoked.digests()

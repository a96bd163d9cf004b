"""A judge asks vLLM, the real one: the labels, and what happens when something goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from end_to_end.workplace import Workplace
from engines.processes import assert_gone, await_descendant, descendants
from engines.servers import START_SECONDS
from engines.spoiling import Answer, spoiling
from forked import Forked
from storm_inference.servers.server import Server

JUDGE = ("recipe=smoke", "targets=[judge]")


def scores(place: Workplace) -> dict[str, list[Any]]:
    (stage,) = (s for s in place.stages() if s["stage"] == "judge")
    store = place.folder / "outputs/store/artifacts"
    (file,) = store.glob(f"*/{stage['key']}/scores.parquet")
    found: dict[str, list[Any]] = pq.read_table(file).to_pydict()
    return found


def assert_same_labels(theirs: dict[str, list[Any]], own: dict[str, list[Any]]) -> None:
    assert theirs["id"] == own["id"] and theirs["status"] == own["status"]
    assert theirs["tokens_judged"] == own["tokens_judged"]
    numbers = [name for name in own if "_p_" in name or name.endswith(("_mass", "_expected"))]
    assert len(numbers) > 8
    for name in numbers:
        assert theirs[name] == pytest.approx(own[name], abs=1e-4), name


@contextlib.contextmanager
def started(place: Workplace, *words: str) -> Iterator[Forked]:
    """Run a command line, and kill it with the test."""
    process = place.start(*words)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)


def shards(place: Workplace) -> dict[Path, Any]:
    """Return what a judge has finished and not yet given away."""
    files = (place.folder / "outputs/store/scratch").glob("*/*.json")
    return {file: json.loads(file.read_text()) for file in files if file.name[0] != "."}


@pytest.fixture(scope="module")
def own(judged: Workplace) -> dict[str, list[Any]]:
    """What transformers computes."""
    judged.run(*JUDGE)
    return scores(judged)


def test_a_killed_server_loses_nothing_and_the_judge_goes_on_to_the_labels_of_transformers(
    judged: Workplace, own: dict[str, list[Any]]
) -> None:
    words = (*JUDGE, "inference=vllm", "judge.shard_rows=8")
    with started(judged, *words) as process:
        until = time.monotonic() + START_SECONDS
        while not shards(judged):
            assert process.returncode is None and time.monotonic() < until
            time.sleep(0.01)
        below = descendants(process.pid)
        (core,) = (number for number, name in below.items() if "EngineCore" in name)
        os.kill(core, signal.SIGKILL)
        killed = time.monotonic()
        said, _ = process.communicate()
    assert process.returncode == 1
    assert "error: judge: no server is left: the server has ended with" in said
    assert time.monotonic() - killed < 120
    assert_gone(below)

    kept = shards(judged)
    assert 1 <= len(kept) < 12
    for file, rows in kept.items():  # what is judged again would say nothing of this
        file.write_text(json.dumps([{**row, "problem": "kept"} for row in rows]))
    said = judged.run(*words)
    assert "judge: uses http://127.0.0.1:" in said and "vllm 0.32.0, float32" in said
    theirs = scores(judged)
    ids = {row["id"] for rows in kept.values() for row in rows}
    problems = dict(zip(theirs["id"], theirs["problem"], strict=True))
    assert {name for name, problem in problems.items() if problem == "kept"} == ids
    assert_same_labels(theirs, own)
    (stage,) = (s for s in judged.stages() if s["stage"] == "judge")
    assert 0.2 < stage["metrics"]["prefix_hit_rate"] < 0.6, "the questions of a row share no prefix"
    assert stage["metrics"]["prompt_tokens"] > 0
    assert list((judged.folder / "outputs/latest").glob("vllm-judge-0.log"))


def half_of_the_rows(answer: Answer) -> Answer:
    return {**answer, "choices": answer["choices"][::2]}


def without_a_label(answer: Answer) -> Answer:
    for choice in answer["choices"]:
        choice["logprobs"]["top_logprobs"][0].popitem()
    return answer


SPOILT: list[tuple[Callable[[Answer], Any], str]] = [
    (half_of_the_rows, "8 answers were requested, 4 were returned"),
    (lambda answer: "the judge is out for lunch", "an invalid response"),
    (without_a_label, "an answer without the labels' log-probabilities"),
]


def test_of_a_spoilt_answer_nothing_is_kept(
    judged: Workplace, own: dict[str, list[Any]], server: Server
) -> None:
    """Each kind comes after four good answers: two shards."""
    words = (*JUDGE, "inference=server", "judge.shard_rows=8", "inference.requests=1")
    for number, (spoil, problem) in enumerate(SPOILT, start=1):
        with spoiling(server.url, spoil, good=4) as url:
            said = judged.run(*words, f"inference.urls=[{url}]", code=1)
        assert re.search(rf"(?s)judge.*4 attempts failed: .*{problem}", said), said
        assert len(shards(judged)) == 2 * number
    judged.run(*words, f"inference.urls=[{server.url}]")
    assert_same_labels(scores(judged), own)


@pytest.mark.parametrize("overlong", ["shorten", "refuse"])
def test_rows_beyond_the_context_are_shortened_or_refused_as_with_transformers(
    overlong: str, judged: Workplace, server: Server
) -> None:
    """The rows are below the context, so the prompts are given less than they need."""
    words = (*JUDGE, "judge.max_length=64", f"judge.overlong={overlong}")
    judged.run(*words)
    expected = scores(judged)
    assert set(expected["status"]) == ({"ok"} if overlong == "shorten" else {"ok", "too_long"})
    judged.run(*words, "inference=server", f"inference.urls=[{server.url}]")
    assert_same_labels(scores(judged), expected)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("judge.education.answers=[1,2,3,4,10]", "judge.education.answers.*must be one token"),
        ("inference.port={port}", r"inference\.port: port {port} cannot be used"),
    ],
)
def test_what_no_server_can_mend_is_said_before_one_starts(
    word: str, problem: str, judged: Workplace, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = judged.run(*JUDGE, "inference=vllm", word.format(port=port), code=1)
    assert re.search(problem.format(port=port), said), said
    assert not list((judged.folder / "outputs/latest").glob("vllm-*.log"))


@pytest.mark.parametrize(
    ("how", "at"), [(signal.SIGINT, "vllm.entrypoints"), (signal.SIGKILL, "EngineCore")]
)
def test_a_run_that_ends_while_its_server_starts_leaves_none(
    how: signal.Signals, at: str, judged: Workplace
) -> None:
    with started(judged, *JUDGE, "inference=vllm", "judge.max_length=100") as process:
        below = await_descendant(process.pid, at, START_SECONDS)
        process.send_signal(how)
        process.communicate()
    assert process.returncode != 0
    assert_gone(below)

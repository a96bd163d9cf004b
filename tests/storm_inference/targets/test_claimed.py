"""Verbs that use an artifact hold the same claim as runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from storm_exp import Store
from storm_exp.testing import CommandResult, installed, run
from storm_inference.targets.claimed import claimed
from waiting import PATIENCE

TOYS = Path(__file__).parents[2] / "toys"
STORE = Path("outputs/store")


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Callable[..., CommandResult]]:
    """Return the command line, in a folder with a run of toys."""
    with installed(TOYS):
        call = partial(run, tmp_path)
        assert call("recipe=sum", "adder=stored").code == 0
        yield call


@contextmanager
def held(verb: str, word: str) -> Iterator[None]:
    """Hold the claim of a verb, from a thread, as one must not wait for its own."""
    begun, over = Event(), Event()

    def use() -> None:
        with claimed(verb, STORE, word):
            begun.set()
            over.wait(PATIENCE)

    with ThreadPoolExecutor() as pool:
        used = pool.submit(use)
        assert begun.wait(PATIENCE)
        try:
            yield
        finally:
            over.set()
            used.result()


@pytest.mark.parametrize("word", ["adder", "outputs/latest", "outputs/latest/adder/value.json"])
def test_what_a_verb_uses_is_not_evicted_until_it_ends(storm, tmp_path, word):
    key = (tmp_path / "outputs/latest/adder").resolve().name
    with chdir(tmp_path), held("chat", word):
        said = storm("store", "rm", key)
        assert said.code == 1
        assert "storm-exp chat, process" in said.out + said.err
        assert "storm-exp chat, process" in storm("store", "why-kept", key).out
        storm("store", "gc", "--to", "0B")
        assert Store(tmp_path / STORE).find(key).manifest is not None
    assert storm("store", "rm", key).code == 0
    assert Store(tmp_path / STORE).find(key).manifest is None


@pytest.mark.parametrize("word", ["nothing", "outputs", "./adder", ""])
def test_a_word_that_names_no_artifact_claims_nothing(storm, tmp_path, word):
    claims = Store(tmp_path / STORE).claims
    claims.rmdir()
    with chdir(tmp_path), claimed("look", STORE, word):
        assert not claims.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["chat", "adder", "--say", "Hello"],
        ["serve", "adder"],
        ["push", "adder", "me/model", "--dry-run"],
        ["look", "adder"],
        ["look"],
    ],
)
def test_a_verb_claims_what_it_is_given_and_lets_it_go(storm, tmp_path, words):
    claims = Store(tmp_path / STORE).claims
    claims.rmdir()
    storm(*words)  # a number is nothing to chat with, which is found out after it is claimed
    assert claims.is_dir()
    assert not list(claims.iterdir())
    assert not list((tmp_path / STORE).rglob("claim.*"))

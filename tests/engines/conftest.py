"""Fixtures for tests of real engines: a small recipe's outputs, a server of its base model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace
from storm_inference.environments.vllm import vllm
from storm_inference.servers.server import Server
from storm_inference.servers.vllm_server import Launch, Starting

START_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, which need vLLM's environment."""
    here, problem = Path(__file__).parent, vllm().problem()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engines)
            item.add_marker(pytest.mark.timeout(3 * START_SECONDS))
            if problem:
                item.add_marker(pytest.mark.skip(reason=f"vLLM's environment {problem}"))


@pytest.fixture(scope="session")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace in which the judge of the smallest recipe ran with transformers."""
    workplace = Workplace(tmp_path_factory.mktemp("judged"))
    workplace.run("recipe=smoke", "targets=[judge]")
    return workplace


@pytest.fixture(scope="session")
def base_model(judged: Workplace) -> Path:
    """The smallest recipe's base model."""
    return (judged.folder / "outputs/latest/base_model").resolve()


@pytest.fixture(scope="session")
def server(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the base model that no stage started."""
    launch = Launch(
        python=vllm().python(),
        model=base_model,
        log=tmp_path_factory.mktemp("server") / "vllm.log",
        dtype="float32",
        requests=8,
    )
    started = Starting(launch).wait(START_SECONDS)
    yield started
    started.close()

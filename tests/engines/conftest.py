"""Fixtures for tests of real engines: outputs of a small recipe, and servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace
from engines.servers import START_SECONDS, Servers
from storm_inference.environments.vllm import vllm
from storm_inference.servers.server import Server


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder, which need vLLM's environment.

    Those that ask the shared server run in one process, so that it is started once; the others
    run module by module.
    """
    here, problem = Path(__file__).parent, vllm().problem()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.engines)
            item.add_marker(pytest.mark.timeout(3 * START_SECONDS))
            shares = "server" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("server" if shares else item.path.stem))
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
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that no stage started."""
    started = Servers(tmp_path_factory.mktemp("servers"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def server(servers: Servers, base_model: Path) -> Server:
    """A server of the base model."""
    return servers.get(base_model)

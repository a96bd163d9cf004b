"""The command that is advised for a model without GGUF files is one that plans."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storm_exp import InputError
from storm_exp.testing import plan, run
from storm_inference.targets.launching import choose_engine
from storm_inference.targets.target import find_target
from storm_models.testing import make_checkpoint

ODD, NUMBER = 'my "best, model" (1)', "007"
MERGE = ("recipe=merge", "base_model.path=A", "partner.path=B")


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, and a run that merged two of them."""
    folder = tmp_path_factory.mktemp("merged")
    for seed, name in enumerate(("A", "B")):
        make_checkpoint(folder / name, seed=seed)
    for name in (ODD, NUMBER):
        shutil.copytree(folder / "A", folder / name)
    assert run(folder, *MERGE).code == 0
    return folder


@pytest.fixture
def there(merged: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(merged)
    yield merged


def advised(word: str) -> list[str]:
    """The words of the command that is advised where llama.cpp is wanted."""
    with pytest.raises(InputError, match="llama_cpp needs a GGUF file") as refused:
        choose_engine(find_target(word), "llama_cpp", "transformers")
    message = str(refused.value)
    assert f"'{word}' has none" in message
    return shlex.split(message.partition(": to make one, ")[2])


def keys(folder: Path) -> dict[str, str]:
    """The keys of the latest run's stages."""
    record = json.loads((folder / "outputs/latest/run.json").read_text("utf-8"))
    return {stage["stage"]: stage["key"] for stage in record["cells"][0]["stages"]}


@pytest.mark.parametrize("word", ["A", "./A", ODD, NUMBER, "outputs/latest/merger", "merger"])
def test_the_advised_export_of_a_folder_or_a_stage_plans(word: str, there: Path) -> None:
    program, *words = advised(word)
    assert program == "storm-exp"
    path = "outputs/latest/merger" if word == "merger" else word
    assert str(Path(path)) in words[1].replace('\\"', '"')
    assert [node.label for node in plan(there, *words).nodes.values()] == ["base_model", "gguf"]


@pytest.mark.parametrize("stage", ["base_model", "merger"])
def test_the_advised_export_of_an_artifact_plans(stage: str, there: Path) -> None:
    key = keys(there)[stage]
    words = advised(key)[1:]
    assert [node.label for node in plan(there, *words).nodes.values()] == ["base_model", "gguf"]
    # The weights of a merge are in the files that its run wrote.
    assert ("outputs/latest/merger" in words[1]) == (stage == "merger")


def test_a_merge_without_written_weights_is_to_be_run_by_itself(there: Path) -> None:
    key = keys(there)["merger"]
    kept = there / "outputs/latest"
    target = kept.readlink()
    kept.unlink()
    try:
        with pytest.raises(InputError, match=r"run the command of its cell by itself"):
            choose_engine(find_target(key), "llama_cpp", "transformers")
    finally:
        kept.symlink_to(target)

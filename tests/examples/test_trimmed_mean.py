"""The example of a stranger's plugin: installed, used in a recipe, and helpful about typos."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from storm_exp.testing import installed, run
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint

EXAMPLE = Path(__file__).parents[2] / "examples/storm-exp-trimmed-mean"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the example into a folder of its own, from a wheel, without a network."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(EXAMPLE)],
        check=True,
    )
    return folder


@pytest.fixture
def storm(site: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return the command line of an environment that has the example."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "storm_exp", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )

    return call


@pytest.fixture
def ask(site: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Return the command line inside this process, which answers with all that it wrote."""

    def call(*arguments: str) -> str:
        result = run(tmp_path, *arguments)
        return result.out + result.err

    with installed(site):
        yield call


def three_models(folder: Path) -> tuple[list[Checkpoint], list[str]]:
    """Write three checkpoints of one shape; return them and the overrides that name them."""
    models = [make_checkpoint(folder / f"model-{seed}", seed=seed) for seed in range(3)]
    stages = ("base_model", "second", "third")
    return models, [f"{s}.path={m.directory}" for s, m in zip(stages, models, strict=True)]


def test_the_example_stays_short():
    lines = [
        line
        for file in (EXAMPLE / "storm_trimmed_mean").glob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    assert len(lines) < 130


def test_its_merger_and_its_menu_work_in_a_recipe(storm, tmp_path):
    models, paths = three_models(tmp_path)
    said = storm("recipe=median", *paths)
    assert said.returncode == 0, said.stderr
    merged = Checkpoint(tmp_path / "outputs/latest/merger")
    for name, tensor in merged.tensors():
        stacked = torch.stack([model.tensor(name) for model in models])
        assert torch.equal(tensor, stacked.median(dim=0).values), name
    drift = json.loads((tmp_path / "outputs/latest/drift/drift.json").read_text())
    assert set(drift) == set(merged.headers())
    assert "largest drift" in said.stdout
    again = storm("recipe=median", *paths, "merger=trimmed_mean", "merger.trim=0.5")
    assert "nothing to make" in again.stdout


def test_it_is_rehearsed_as_its_author_says(storm, tmp_path):
    _, paths = three_models(tmp_path)
    said = storm("rehearse", "recipe=median", *paths)
    assert said.returncode == 0, said.stderr
    assert "drift (relative_distance): most None → 8" in said.stderr
    assert "unchanged, without a declared rehearsal: merger" in said.stdout
    drift = json.loads((tmp_path / "outputs/rehearsals/latest/drift/drift.json").read_text())
    assert len(drift) == 8


def test_its_forecast_refuses_two_models_before_anything_is_made(storm, tmp_path):
    _, paths = three_models(tmp_path)
    said = storm("recipe=median", *paths, "graph.merger.models=[base_model,second]")
    assert said.returncode == 1
    assert "merger: needs three models or more, not 2" in said.stderr
    assert not (tmp_path / "outputs/store/artifacts").exists()


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["merger.trimm=0.1"], ["'merger.trimm' is not a setting", "did you mean 'trim'?"]),
        (["merger=medain"], ["merger=medain: no such option", "did you mean 'median'?"]),
        (["drift=relative"], ["drift=relative: no such option", "'relative_distance'?"]),
        (["+graph.drift.orign=second"], ["no component of the menu 'drift'", "'origin'?"]),
        (["drif=relative_distance"], ["did you mean 'drift'?"]),
    ],
)
def test_its_typos_are_answered_as_the_engines_own(ask, overrides, parts):
    said = ask("recipe=median", *overrides)
    assert said.startswith("error: ")
    for part in parts:
        assert part in said


def test_its_settings_are_described(ask):
    said = ask("show", "trimmed_mean")
    assert "trimmed_mean(models: list[Checkpoint]) → Checkpoint" in said
    assert "0 is the mean, 0.5 the median" in said

"""Cells are composed as Hydra composes them: the same configurations, origins and errors."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from hydra_plugins.storm_exp_hydra.composer import Composer
from storm_exp._compose.hydra_errors import explain
from storm_exp._compose.provenance import read_origins
from storm_exp._run import application

CHOICES = {
    "storm": [
        ["merger=slerp", "merger=linear", "merger=slerp_by_layer", "merger=slrp"],
        ["curator=storm", "curator=tinyworld/thresholds", "curator=tinyworld/random"],
        [
            "finetuner@partner=tinyworld/spectrum",
            "tokens@partner_tokens=chat_tokens",
            "finetuner@other=sft",
        ],
        ["+scanner@second=snr", "+nothing=1", "~comparison", "~merger", "~no_such_thing"],
        ["base_model=path", "dataset=[tinyworld_pool]", "evaluator=null", "judge={a: 1}"],
    ],
    "solar": [
        ["upscaler.m=1", "upscaler.m=x", "+upscaler.mm=1"],
        ["finetuner@sft=spectrum", "finetuner=lora"],
    ],
    "minitron_width": [["compressor=tinyworld/depth", "compressor=minitron/4b_width"]],
}
"""Overrides that choose options, or look as if they did."""
VALUES = [
    "seed=1",
    "seed=many",
    "seed=${oc.env:HOME}",
    "merger.t=0.25",
    "merger.t=${seed}",
    "merger.tt=1",
    "++merger.t=0.75",
    "graph.partner=null",
    "graph.merger.models=[finetuner]",
    "graph.merger={base: partner}",
    "targets=[merger]",
    "curator.difficulties=[easy,hard]",
    "+curator.more={a: 1}",
    "~curator.difficulties",
    "runtime.threads=2",
    "runtime={threads: 3}",
    "store.path='/a b/c'",
    "finetuner=null",
]


@pytest.fixture
def loader() -> Iterator[ConfigLoaderImpl]:
    """Yield Hydra's loader over the presets of the project."""
    with initialize_config_dir(str(application.config_folder()), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


def state(node: Any, path: str = "") -> dict[str, Any]:
    """Return by path everything that nodes hold, their flags and types included."""
    inside = dict(node.__dict__)
    parent, content = inside.pop("_parent"), inside.pop("_content", None)
    inside.pop("_flags_cache", None)
    found = {path: (type(node), parent is None, inside)}
    children: Any = []
    if isinstance(content, dict):
        children = content.items()
    elif isinstance(content, list):
        children = enumerate(content)
    else:
        inside["_content"] = content
    for name, child in children:
        assert child._get_parent() is node
        found |= state(child, f"{path}.{name}")
    return found


def outcome(compose: Any, words: list[str]) -> Any:
    """Return what composing came to: the whole configuration with its origins, or the error."""
    try:
        config: DictConfig = compose(words)
    except Exception as error:
        return type(error), str(error), explain(error)
    return state(config), read_origins(config.hydra)


def random_cells(recipe: str, count: int) -> list[list[str]]:
    chance = random.Random(recipe)
    cells = []
    for _ in range(count):
        chosen = [chance.choice(options) for options in CHOICES[recipe] if chance.random() < 0.3]
        words = [*chosen, *chance.sample(VALUES, chance.choice([0, 1, 1, 2, 3]))]
        chance.shuffle(words)
        cells.append([f"recipe={recipe}", *words])
    return cells


def same(
    composer: Composer, loader: ConfigLoaderImpl, master: DictConfig, words: list[str]
) -> bool:
    """Compare the ways to compose a cell, and return whether it composes."""
    expected = outcome(lambda words: loader.load_sweep_config(master, words), words)
    found = outcome(composer.compose, words)
    if len(expected) == 2 == len(found):
        assert list(found[0]) == list(expected[0]), words
        for path, node in expected[0].items():
            assert found[0][path] == node, (words, path)
    assert found == expected, words
    return len(expected) == 2


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        pytest.param("storm", 20, marks=pytest.mark.slow),
        pytest.param("solar", 10, marks=pytest.mark.slow),
        ("minitron_width", 6),
    ],
)
def test_a_cell_is_what_hydra_would_have_composed(loader, recipe, count):
    hydra_words = ["hydra.mode=MULTIRUN", "hydra.job.config.override_dirname.kv_sep=-"]
    master = loader.load_configuration(
        "config", [*hydra_words, f"recipe={recipe}"], RunMode.MULTIRUN
    )
    composer = Composer(loader, master)
    composed = 0
    for words in random_cells(recipe, count):
        composed += same(composer, loader, master, words)
    assert 0.2 * count < composed < count, "some cells compose, and some do not"


def test_what_a_cell_sets_of_hydra_itself_is_composed_by_hydra(loader):
    master = loader.load_configuration("config", ["hydra.mode=MULTIRUN"], RunMode.MULTIRUN)
    composer = Composer(loader, master)
    for words in (
        ["recipe=storm", "hydra.job.name=other", "seed=1"],
        ["recipe=storm", "hydra/launcher=basic", "hydra.job.num=x"],
    ):
        same(composer, loader, master, words)


def test_a_group_of_a_further_search_path_is_a_group(loader, tmp_path):
    (tmp_path / "planet").mkdir()
    (tmp_path / "planet/earth.yaml").write_text("moons: 1\n", encoding="utf-8")
    common = ["hydra.mode=MULTIRUN", f"hydra.searchpath=[file://{tmp_path}]"]
    master = loader.load_configuration("config", common, RunMode.MULTIRUN)
    composer = Composer(loader, master)
    for words in (["recipe=storm", "+planet=earth"], ["recipe=storm", "+planet=mars"]):
        same(composer, loader, master, words)


def test_hydra_merges_a_sweeps_files_once_for_each_choice(storm, monkeypatch):
    merged = []
    merge = ConfigLoaderImpl._compose_config_from_defaults_list

    def counted(loader: ConfigLoaderImpl, **arguments: Any) -> Any:
        merged.append(1)
        return merge(loader, **arguments)

    monkeypatch.setattr(ConfigLoaderImpl, "_compose_config_from_defaults_list", counted)
    said = storm("plan", "-m", "recipe=storm", "merger=slerp,linear", "seed=range(10)")
    assert said.code == 0, said.err
    assert "20 cells" in said.out
    assert len(merged) == 3, "the sweep itself, and one for each merger"


@pytest.mark.parametrize("sweeper", ["basic", "cells"])
def test_both_sweepers_plan_the_same_cells(storm, sweeper):
    said = storm("plan", "-m", "recipe=sum", f"hydra/sweeper={sweeper}", "adder.amount=1,2")
    assert said.code == 0, said.err
    assert "2 cells" in said.out


def test_a_wrong_cell_is_refused_before_the_first_runs_under_another_launcher(start):
    cells = ["recipe=sum", "adder.amount=1,much", "hydra/launcher=basic"]
    said = start("-m", "storm_exp", "-m", *cells).wait()
    assert said.code == 1
    assert "adder.amount='much': must be a number" in said.err
    assert "made" not in said.out

"""The presets, graphs and recipes in conf/ and in the plugins' folders of configurations."""

from __future__ import annotations

import itertools
import json

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from presets import FOLDERS, GRAPHS, PRESETS, RECIPES, SWEEPS, component, line, read, settings
from storm_exp._compose.presets import config_folder
from storm_exp._contract.plugins import load_plugins


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_holds_graph_targets_controls_and_how_chats_are_read(recipe):
    body = yaml.safe_load(RECIPES[recipe].read_text(encoding="utf-8"))
    assert set(body) <= {"defaults", "graph", "targets", "chat", "ablation"}


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_graph_holds_stages_their_edges_and_controls(graph):
    body = yaml.safe_load(GRAPHS[graph].read_text(encoding="utf-8"))
    assert {"defaults", "graph"} <= set(body) <= {"defaults", "graph", "ablation"}


def test_no_two_files_state_the_same_edges():
    edges = {
        name: {(stage, json.dumps(ports)) for stage, ports in body["graph"].items()}
        for name, file in {**GRAPHS, **RECIPES}.items()
        if "graph" in (body := yaml.safe_load(file.read_text(encoding="utf-8")))
    }
    for one, other in itertools.combinations(edges, 2):
        same = edges[one] & edges[other]
        assert len(same) < min(len(edges[one]), len(edges[other])), f"{one}, {other}: {same}"


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_what_it_starts_from_first_and_has_no_components_name(preset):
    read(preset)
    option = preset.partition("/")[2]
    assert component(preset) in load_plugins().components
    assert option not in load_plugins().components


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_restates_nothing_of_what_it_starts_from(preset):
    start, own = read(preset)
    before, after = values(settings(start)), values(settings(preset))
    restated = [path for path in leaves(own) if before.get(path, ...) == after[path]]
    assert restated == []


@pytest.mark.slow
def test_a_preset_that_differs_from_another_in_two_values_inherits_it():
    chosen = {name: own_values(name) for name in PRESETS}
    for one, other in itertools.combinations(PRESETS, 2):
        ones, others = chosen[one], chosen[other]
        if component(one) != component(other) or {*line(one)} & {*line(other)} & {*PRESETS}:
            continue
        common = [path for path in ones if ones[path] == others.get(path, ...)]
        differing = {*ones, *others} - {*common}
        assert len(differing) > 2 or len(common) < 2, f"{one} and {other} share {common}"


def leaves(node, path=""):
    """Return the values of nested settings by their dotted paths."""
    if not isinstance(node, dict) or not node:
        return {path: node} if path else {}
    return {
        place: value
        for name, child in node.items()
        for place, value in leaves(child, f"{path}.{name}".lstrip(".")).items()
    }


def values(config):
    return leaves(OmegaConf.to_container(config, resolve=False))


def own_values(preset):
    """Return the settings of a preset and of those that it starts from, by dotted paths."""
    default, found = values(settings(line(preset)[-1])), values(settings(preset))
    return {path: value for path, value in found.items() if default.get(path, ...) != value}


@pytest.mark.parametrize("name", [*PRESETS, *RECIPES, *SWEEPS])
def test_configurations_name_no_import_paths(name):
    assert "_target_" not in {**PRESETS, **RECIPES, **SWEEPS}[name].read_text(encoding="utf-8")


def renamed():
    """Return (menu, old, new) of every preset that had another name."""
    for file in (folder / "other_names.yaml" for folder in FOLDERS):
        names = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
        for menu, options in names.get("presets", {}).items():
            yield from ((menu, old, new) for old, new in options.items())


@pytest.mark.parametrize(("menu", "old", "new"), list(renamed()))
def test_an_old_name_stands_for_an_option_that_there_is(menu, old, new):
    components = {component.name for component in load_plugins().menus()[menu]}
    options = components | {name.partition("/")[2] for name in PRESETS if name.startswith(menu)}
    assert new in options
    assert old not in options


def test_conf_knows_nothing_of_the_miniature():
    folder = config_folder()
    files = [file for file in folder.rglob("*.yaml") if "tinyworld" in file.read_text("utf-8")]
    assert files == []


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_composes(preset, tmp_path):
    menu, _, option = preset.partition("/")
    recipe = tmp_path / "recipe" / "alone.yaml"
    recipe.parent.mkdir()
    recipe.write_text(f"# @package _global_\ndefaults: [/{menu}: {option}]\n", encoding="utf-8")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("config", [f"hydra.searchpath=[file://{tmp_path}]", "recipe=alone"])
    assert config[menu] is not None

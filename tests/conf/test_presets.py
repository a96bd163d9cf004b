"""What ships in conf/ and in the plugins' folders of configurations."""

from __future__ import annotations

import pytest
import yaml
from hydra import compose, initialize_config_dir

from presets import FOLDERS, PRESETS, RECIPES, SWEEPS, component, read
from storm_exp._compose.presets import config_folder
from storm_exp._contract.plugins import load_plugins
from storm_exp._run import application


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_holds_graph_and_targets_and_how_chats_are_read(recipe):
    body = yaml.safe_load(RECIPES[recipe].read_text(encoding="utf-8"))
    assert set(body) <= {"defaults", "graph", "targets", "chat"}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_what_it_starts_from_first_and_has_no_components_name(preset):
    read(preset)
    option = preset.partition("/")[2]
    assert component(preset) in load_plugins().components
    assert option not in load_plugins().components


@pytest.mark.parametrize("name", [*PRESETS, *RECIPES, *SWEEPS])
def test_configurations_name_no_import_paths(name):
    assert "_target_" not in {**PRESETS, **RECIPES, **SWEEPS}[name].read_text(encoding="utf-8")


def renamed():
    """Return (menu, old, new) of every preset that had another name."""
    for folder in FOLDERS:
        names = yaml.safe_load((folder / "renamed.yaml").read_text(encoding="utf-8"))["presets"]
        for menu, options in names.items():
            yield from ((menu, old, new) for old, new in options.items())


@pytest.mark.parametrize(("menu", "old", "new"), renamed())
def test_an_old_name_stands_for_a_preset_that_there_is(menu, old, new):
    assert f"{menu}/{new}" in PRESETS
    assert f"{menu}/{old}" not in PRESETS


def test_conf_knows_nothing_of_the_miniature():
    folder = config_folder()
    files = [file for file in folder.rglob("*.yaml") if "tinyworld" in file.read_text("utf-8")]
    assert files == []


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_composes(preset, tmp_path):
    application.register_components(load_plugins())
    menu, _, option = preset.partition("/")
    recipe = tmp_path / "recipe" / "alone.yaml"
    recipe.parent.mkdir()
    recipe.write_text(f"# @package _global_\ndefaults: [/{menu}: {option}]\n", encoding="utf-8")
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("config", [f"hydra.searchpath=[file://{tmp_path}]", "recipe=alone"])
    assert config[menu] is not None

"""The verb `list`: what there is, by kind and menu."""

from __future__ import annotations

from pathlib import Path

import pytest

from presets import PRESETS, RECIPES, SWEEPS
from storm_exp import load_plugins
from storm_exp.testing import installed

TOYS = Path(__file__).parents[1] / "toys"


@pytest.mark.parametrize(("kind", "files"), [("recipes", RECIPES), ("sweeps", SWEEPS)])
def test_recipes_and_sweeps_are_listed_with_a_summary(ask, kind, files):
    items = ask("list", kind)["items"]
    assert {f"{kind[:-1]}/{item['name']}" for item in items} == set(files)
    assert all(item["summary"] for item in items)
    assert not any("storm-exp " in item["summary"] for item in items)
    assert {item["place"] for item in items} == {str(file) for file in files.values()}


def test_presets_are_listed_by_menu(ask, storm):
    items = ask("list", "presets")["items"]
    assert set(PRESETS) < {f"{item['groups'][0]}/{item['name']}" for item in items}
    merging = ask("list", "presets", "merger")["items"]
    assert {item["name"] for item in merging} >= {"slerp_by_layer", "solar", "tinyworld/solar"}
    assert {item["groups"][0] for item in merging} == {"merger"}
    lines = storm("list", "presets", "merger").out.splitlines()
    assert lines[0] == "merger"
    assert any(line.startswith("  slerp_by_layer   The schedule that most") for line in lines)


def test_components_are_listed_with_what_they_take_and_make(ask, storm):
    items = {item["name"]: item for item in ask("list", "components")["items"]}
    assert items.keys() == load_plugins().components.keys()
    assert items["slerp"]["takes"] == ["models: list[Checkpoint]"]
    assert items["slerp"]["makes"] == "Checkpoint"
    assert items["slerp"]["plugin"] == "storm_merging"
    listed = storm("list", "components", "merger", "scanner").out
    assert "  slerp(models: list[Checkpoint]) → Checkpoint" in listed
    assert [line for line in listed.splitlines() if not line.startswith(" ")] == [
        "merger",
        "scanner",
    ]


def test_a_component_of_several_menus_is_one_item_and_stands_in_each(ask, storm):
    (item,) = [each for each in ask("list", "components")["items"] if each["name"] == "path"]
    assert len(item["groups"]) > 1
    for menu in item["groups"]:
        assert "\n  path() → Checkpoint" in storm("list", "components", menu).out


def test_plugins_lists_components_with_their_ports(storm):
    with installed(TOYS):
        said = storm("list", "plugins")
        assert said.code == 0
        assert "storm_toys (storm-toys): settled, from_nested" in said.out
        assert "toys (storm-toys): number, drawn" in said.out
        said = storm("list", "components")
        assert "weighted(number: Value, weight?: Value) → Value" in said.out
        assert "collect(numbers: list[Value]) → Value" in said.out


def test_without_a_kind_it_says_how_many_there_are_of_each(ask):
    counts = {item["kind"]: item["count"] for item in ask("list")["items"]}
    assert counts["recipes"] == len(RECIPES)
    assert counts["components"] == len(load_plugins().components)
    assert counts["plugins"] == len(load_plugins().plugins)
    assert counts["sections"] >= 3


def test_a_folder_of_ones_own_is_listed_too(ask, tmp_path):
    mine = tmp_path / "mine" / "merger" / "half.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# Half of each.\ndefaults: [slerp, _self_]\n", encoding="utf-8")
    items = ask("list", "presets", "merger", "-cd", "mine")["items"]
    (half,) = [item for item in items if item["name"] == "half"]
    assert (half["summary"], half["choose"]) == ("Half of each", "merger=half")
    assert half["place"] == "mine/merger/half.yaml"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["list", "recpies"], "did you mean 'recipes'?"),
        (["list", "components", "mergr"], "did you mean 'merger'?"),
        (["list", "recipes", "merger"], "are listed by menu"),
        (["list", "--jsn"], "no flag '--jsn'; did you mean '--json'?"),
        (["show", "latest", "--as", "mergekit"], "to mergekit by storm-exp mergekit RUN"),
        (["show", "--as=mergekit"], "to mergekit by storm-exp mergekit RUN"),
        (["list", "-cd"], "-cd takes a folder"),
        (["list", "recipes", "-cd", "nowhere"], "there is no folder nowhere"),
        (["plugins", "slerp"], "no verb 'plugins'; did you mean 'list'?"),
    ],
)
def test_errors_say_what_to_write(storm, words, answer):
    said = storm(*words)
    assert said.code == 1
    assert answer in said.error

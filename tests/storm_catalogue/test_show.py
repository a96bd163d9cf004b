"""The verb `show`: components, presets, recipes, sweeps and sections in full."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from presets import PRESETS, RECIPES, settings
from storm_catalogue.composition import compose
from storm_catalogue.option import everything
from storm_catalogue.showing.verb import find
from storm_exp.testing import installed

ROOT = Path(__file__).parents[2]
TOYS = ROOT / "tests" / "toys"


def test_a_component_is_described_with_its_settings(storm):
    with installed(TOYS):
        said = storm("show", "settled")
        assert said.code == 0
        assert "menus: source; version 3" in said.out
        assert "A component with settings of every kind." in said.out
        assert "title: str | None = None" in said.out
        assert "Shape = ROUND" in said.out
        assert "workers: int = 1  (not part of the key)" in said.out
        assert "How many work at it: cannot change the result." in said.out
        assert "inner.depth: int = 2" in said.out
        said = storm("show", "setled")
        assert said.code == 1
        assert "did you mean 'settled'?" in said.err


def test_a_component_says_what_it_needs_takes_and_makes_and_its_presets(ask, storm):
    (item,) = ask("show", "slerp")["items"]
    assert item["takes"] == [
        {"port": "models", "artifact": "Checkpoint", "many": True, "optional": False}
    ]
    assert item["makes"] == "Checkpoint"
    assert item["packages"] == ["torch", "transformers"]
    assert item["presets"] == ["merger=slerp_by_layer"]
    t, schedules = item["settings"]
    assert (t["name"], t["type"], t["default"]) == ("t", "float", 0.5)
    assert t["bounds"] == {"at_least": 0, "at_most": 1}
    file, _, line = t["place"].rpartition(":")
    assert Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1].startswith("    t:")
    assert schedules["default"] == {}
    lines = storm("show", "slerp").out.splitlines()
    assert lines[0] == "slerp(models: list[Checkpoint]) → Checkpoint"
    assert "  t: float = 0.5  (between 0 and 1)" in lines


def test_units_and_choices_are_shown(ask, storm):
    (item,) = ask("show", "finetuner=sft")["items"]
    found = {each["name"]: each for each in item["settings"]}
    assert found["sequence_length"]["unit"] == "tokens"
    assert found["precision"]["choices"][0] == "auto"
    assert "float32" in found["precision"]["choices"]
    assert "spectrum" in found["trainable.method"]["choices"]
    assert "one of all, spectrum" in storm("show", "sft").out


def test_every_component_is_described(ask):
    listed = ask("list", "components")["items"]
    items = ask("show", *(f"{item['groups'][0]}={item['name']}" for item in listed))["items"]
    assert [item["name"] for item in items] == [item["name"] for item in listed]
    for item in items:
        assert all(setting["description"] for setting in item["settings"]), item["name"]


def test_a_preset_says_where_every_value_comes_from(ask):
    (item,) = ask("show", "slerp_by_layer")["items"]
    values = {each["path"]: each for each in item["settings"]}
    file = PRESETS["merger/slerp_by_layer"]
    lines = file.read_text(encoding="utf-8").splitlines()
    where = next(n for n, line in enumerate(lines, 1) if line.startswith("  mlp:"))
    assert values["merger.schedules.mlp"]["origin"] == f"{file}:{where}"
    assert values["merger.schedules.mlp"]["value"] == [1, 0.5, 0.7, 0.3, 0]
    assert values["merger.t"]["value"] == 0.5
    assert values["merger.t"]["origin"].startswith("default, ")
    assert "slerp.py:" in values["merger.t"]["origin"]


def test_a_preset_of_a_preset_has_values_of_both(ask):
    (item,) = ask("show", "tinyllama/epoch_2")["items"]
    values = {each["path"]: each["origin"] for each in item["settings"]}
    assert "/epoch_2.yaml:" in values["finetuner.schedule_from"]
    assert "/epoch_1.yaml:" in values["finetuner.learning_rate"]
    lines = (ROOT / "conf/config.yaml").read_text(encoding="utf-8").splitlines()
    line = 1 + lines.index("seed: 0")
    assert values["finetuner.seed"].endswith(f"conf/config.yaml:{line}")


@pytest.mark.parametrize(
    "preset",
    ["merger/solar", "curator/storm", "evaluator/h6", "finetuner/lora", "tokens/zephyr/chats"],
)
def test_the_values_of_a_preset_are_those_that_its_files_merge_to(preset):
    menu, _, option = preset.partition("/")
    composed = compose([f"+{menu}={option}", "~recipe"], [])
    shown = {v.path: v for v in composed.values(menu, composed.stages()[menu].cls)}
    merged = OmegaConf.to_container(settings(preset), resolve=False, enum_to_str=True)
    for path, value in shown.items():
        expected = merged
        for name in path.split(".")[1:]:
            expected = expected[name]
        assert (value.written or value.value) == expected, path


def test_a_recipe_is_drawn_with_its_stages(storm, ask):
    said = storm("show", "recipe=merge")
    assert said.out.splitlines()[:2] == ["recipe=merge, a recipe", f"  {RECIPES['recipe/merge']}"]
    assert "  ●   base_model  base_model/path\n" in said.out
    assert "  ●─╯ merger      merger/slerp     models ← base_model, partner\n" in said.out
    assert "to be given: base_model.path=… partner.path=…" in said.out
    (item,) = ask("show", "recipe=merge")["items"]
    assert item["stages"][-1] == {
        "stage": "merger",
        "choice": "merger/slerp",
        "component": "slerp",
        "makes": "Checkpoint",
        "inputs": {"models": ["base_model", "partner"]},
    }
    assert item["missing"] == ["base_model.path", "partner.path"]


def test_a_recipe_is_shown_with_the_settings_that_are_typed(ask, storm):
    typed = ("recipe=smoke", "merger=linear", "seed=7", "graph.compressor=null")
    (item,) = ask("show", *typed)["items"]
    values = {each["path"]: each for each in item["settings"]}
    assert values["finetuner.seed"] == {
        "path": "finetuner.seed",
        "value": 7,
        "written": "${seed}",
        "origin": "the command line",
    }
    components = {stage["stage"]: stage["component"] for stage in item["stages"]}
    assert components["merger"] == "linear"
    assert "compressor" not in components
    said = storm("show", *typed, "--settings")
    assert "  finetuner  finetuner/tinyworld/smoke" in said.out
    assert "${seed} the command line" in said.out


@pytest.mark.parametrize("name", ["storm_smollm2", "minitron_iterative", "birbal_7b", "storm_own"])
def test_every_value_of_a_recipe_has_an_origin(name):
    composed = compose([f"recipe={name}"], [])
    values = [v for stage, c in composed.stages().items() for v in composed.values(stage, c.cls)]
    assert values
    assert [value.path for value in values if not value.origin] == []


def test_a_sweep_says_what_it_combines(storm, ask):
    (item,) = ask("show", "merge_weight")["items"]
    assert item["recipe"] == "storm"
    assert item["values"] == {"merger.t": "0.1,0.25,0.4,0.5,0.6,0.75,0.9", "seed": "0,1,2"}
    assert "storm-exp plan sweep=merge_weight" in storm("show", "merge_weight").out


def test_a_section_and_its_presets_are_described(storm, ask):
    assert "devices: int = 1  (at least 1)" in storm("show", "runtime").out
    (item,) = ask("show", "inference=vllm")["items"]
    values = {each["path"]: each for each in item["settings"]}
    assert values["inference.engine"]["value"] == "vllm"
    assert "conf/inference/vllm.yaml:" in values["inference.engine"]["origin"]


def test_a_name_in_several_groups_shows_all_and_how_to_name_one(storm):
    shown = storm("show", "storm").out
    for words in ("recipe=storm, a recipe", "curator=storm, a preset", "exporter=storm, a preset"):
        assert words in shown
    assert "of the same name: curator=storm, evaluator=storm, exporter=storm" in shown


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("curator=storm", ["curator=storm"]),
        ("curator/storm", ["curator=storm"]),
        ("epoch_1", ["finetuner=tinyllama/epoch_1", "finetuner=tinyworld/epoch_1"]),
        ("tinyllama/epoch_1", ["finetuner=tinyllama/epoch_1"]),
        ("path", ["base_model=path"]),
        ("finetuner=path", ["base_model=path"]),
    ],
)
def test_a_word_may_name_the_menu_too(word, found):
    assert [option.words for option in find(word, everything([]))] == found


def test_a_preset_of_ones_own_is_shown(ask, tmp_path):
    mine = tmp_path / "mine" / "merger" / "half.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("defaults: [slerp_by_layer, _self_]\nt: 0.25\n", encoding="utf-8")
    (item,) = ask("show", "half", "-cd", "mine")["items"]
    values = {each["path"]: each for each in item["settings"]}
    assert values["merger.t"]["origin"] == "mine/merger/half.yaml:2"
    assert values["merger.t"]["value"] == 0.25
    assert "slerp_by_layer.yaml:" in values["merger.schedules.mlp"]["origin"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["slrp"], "nothing is named 'slrp'; did you mean 'slerp'?"),
        (["merger=slrp"], "nothing is named 'merger=slrp'; did you mean 'slerp'?"),
        (["mergr=slerp"], "nothing is named 'mergr=slerp'; did you mean 'merger'?"),
        (["recipe=strom"], "did you mean 'storm'?"),
        (["merger"], "merger is a menu: storm-exp list components merger"),
        (["recipe=storm", "merger.q=3"], "'merger.q' is not a setting"),
        (["recipe=storm", "graph.judge.model=merger"], "wait for each other in a circle"),
        ([], "give a name"),
    ],
)
def test_errors_say_what_to_write(storm, words, answer):
    said = storm("show", *words)
    assert said.code == 1
    assert answer in said.error


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("t: 0.25\n", "mine/merger/odd.yaml: names no component"),
        ("defaults: [slerp, _self_]\nt: [\n", "odd.yaml: not YAML"),
        ("defaults: [nosuch, _self_]\n", "nosuch"),
        ("- 1\n", "odd.yaml: must hold settings"),
        ("", "mine/merger/odd.yaml: names no component"),
    ],
)
def test_a_file_that_is_no_preset_is_listed_and_not_shown(storm, tmp_path, text, answer):
    mine = tmp_path / "mine" / "merger"
    (mine / "folder.yaml").mkdir(parents=True)
    (mine / "odd.yaml").write_text(text, encoding="utf-8")
    assert "\n  odd\n" in storm("list", "presets", "merger", "-cd", "mine").out
    assert storm("show", "slerp", "-cd", "mine").code == 0
    said = storm("show", "odd", "-cd", "mine")
    assert said.code == 1
    assert answer in said.error
    assert "unexpected failure" not in said.error

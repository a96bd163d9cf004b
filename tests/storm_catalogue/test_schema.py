"""The verb `schema`: what a schema admits is what the engine admits."""

from __future__ import annotations

import json

import pytest
import yaml
from omegaconf import OmegaConf

from presets import PRESETS, RECIPES, component
from storm_catalogue.composition import compose
from storm_catalogue.schema.files import component_schema
from storm_exp import load_plugins
from storm_exp.testing import installed, run

jsonschema = pytest.importorskip("jsonschema")
COMPONENTS = load_plugins().components


def errors(schema, value):
    """Return what a schema has against a value."""
    return [
        f"{error.json_path}: {error.message:.200}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value)
    ]


@pytest.fixture(scope="module")
def schemas():
    return {name: component_schema(each) for name, each in COMPONENTS.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder with all schemas and a recipe of one's own without one, and what was said."""
    folder = tmp_path_factory.mktemp("schemas")
    mine = folder / "mine" / "recipe" / "odd.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\ndefaults: [/merger: nosuch]\n", encoding="utf-8")
    return folder, run(folder, "schema", "all", "-cd", "mine", "--json")


def test_the_schema_of_every_component_is_one(schemas):
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_preset_fits_the_schema_of_its_component(schemas):
    for preset, file in PRESETS.items():
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert errors(schemas[component(preset)], body) == [], preset


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ({"t": 0.3}, True),
        ({"t": 0}, True),
        ({"t": "${seed}"}, True),
        ({"t": "???"}, True),
        ({"defaults": ["slerp", "_self_"], "schedules": {"mlp": [0, 0.5, 1]}}, True),
        ({"t": 1.1}, False),
        ({"t": "half"}, False),
        ({"tt": 0.5}, False),
        ({"t": None}, False),
        ({"schedules": {"mlp": [0, 2]}}, False),
        ({"schedules": [0, 1]}, False),
    ],
)
def test_types_bounds_and_names_are_checked(schemas, name, fits):
    assert (not errors(schemas["slerp"], name)) is fits


@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"precision": "bfloat16_mixed"}, True),
        ({"precision": "8"}, False),
        ({"trainable": {"method": "spectrum"}}, True),
        ({"trainable": {"method": "spectrums"}}, False),
        ({"trainable": {"fractions": 0.5}}, False),
        ({"steps": None}, True),
        ({"steps": 0}, False),
        ({"steps": 1.5}, False),
        ({"learning_rate": 0}, False),
    ],
)
def test_choices_nested_settings_and_nulls_are_checked(schemas, body, fits):
    assert (not errors(schemas["sft"], body)) is fits


def test_defaults_and_descriptions_are_in_the_schema(schemas):
    t = schemas["slerp"]["properties"]["t"]
    assert t["default"] == 0.5
    assert t["description"] == "Weight of the second checkpoint."


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoke", "storm_8b", "minitron_width"])
def test_a_recipe_as_it_is_composed_fits_its_schema(written, name):
    schema = json.loads((written[0] / f"schemas/recipe/{name}.json").read_text(encoding="utf-8"))
    config = compose([f"recipe={name}"], []).config
    body = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    assert errors(schema, body) == []
    stage = next(iter(body["graph"]))
    body["graph"][stage]["no_such_port"] = "dataset"
    body["seed"] = -1
    found = "\n".join(errors(schema, body))
    assert "$.seed" in found
    assert f"$.graph.{stage}" in found


@pytest.mark.slow
def test_the_file_of_every_recipe_fits_its_schema(written):
    for name, file in RECIPES.items():
        schema = json.loads((written[0] / f"schemas/{name}.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert errors(schema, body) == [], name


@pytest.mark.slow
def test_all_schemas_are_written_and_a_recipe_without_one_is_named(written):
    folder, said = written
    assert said.code == 0, said.err
    answer = json.loads(said.out)
    names = {(item["kind"], item["name"]) for item in answer["items"]}
    assert names == {("component", name) for name in COMPONENTS} | {
        ("recipe", name.partition("/")[2]) for name in RECIPES
    }
    for item in answer["items"]:
        schema = json.loads((folder / item["file"]).read_text(encoding="utf-8"))
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    (note,) = answer["notes"]
    assert note.startswith("recipe=odd has no schema: ")


def test_a_schema_is_printed(storm, ask):
    said = storm("schema", "slerp")
    assert json.loads(said.out)["title"] == "A preset of slerp"
    (item,) = ask("schema", "slerp")["items"]
    assert item["schema"] == json.loads(said.out)


def test_a_plugin_that_does_not_load_is_named_and_the_other_schemas_come(storm, ask, tmp_path):
    broken = tmp_path / "site"
    broken.mkdir()
    (broken / "storm_broken.py").write_text(
        'storm_api = ">=1,<2"\nimport no_such_module\n', encoding="utf-8"
    )
    info = broken / "storm_broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: storm-broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[storm_exp]\nbroken = storm_broken\n")
    with installed(broken):
        said = storm("schema", "slerp")
        assert said.code == 0
        assert json.loads(said.out)["title"] == "A preset of slerp"
        assert "the plugin 'broken' could not be loaded: ModuleNotFoundError" in said.err
        answer = ask("schema", "slerp", "recipe=merge")
        assert len(answer["items"]) == 2
        assert "the plugin 'broken' could not be loaded" in answer["notes"][0]
        assert "the plugin 'broken' could not be loaded" in storm("schema", "slrp").error


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["slrp"], "no component or recipe is named 'slrp'; did you mean 'slerp'?"),
        (["recipe=strom"], "did you mean 'storm'?"),
        ([], "give a component or a recipe, or all"),
    ],
)
def test_errors_say_what_to_write(storm, words, answer):
    said = storm("schema", *words)
    assert said.code == 1
    assert answer in said.error

"""The recipe `merge_yaml`, from the command line to the merge."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from storm_exp.testing import run
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint

from .conftest import ours
from .test_against_mergekit import assert_one_rounding_apart


@pytest.fixture
def words(family, example):
    """A function that returns the words of a recipe for an example, on llamas."""

    def of(name):
        return ("recipe=merge_yaml", f"merge.file={example(name, family('llama'))}")

    return of


def test_a_file_is_a_recipe(words, tmp_path):
    done = run(tmp_path, *words("ties"))
    assert done.code == 0, done.error
    stages = [stage.label for stage in done.record.cells[0].stages]
    assert stages == ["one", "two", "base", "merger"]
    merged = Checkpoint(tmp_path / "outputs/latest/merger")
    assert merged.config()["dtype"] == "bfloat16"
    assert merged.tensor("model.norm.weight").dtype == torch.bfloat16
    again = run(tmp_path, *words("ties"))
    assert "nothing to make" in again.out


def test_the_commands_of_the_page_run(words, tmp_path):
    page = (Path(__file__).parents[3] / "docs/mergekit.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    storm-exp (.*)$", page, re.M)
    assert len(commands) == 7
    file = words("slerp_second_base")[1].partition("=")[2]
    (tmp_path / "own/recipe").mkdir(parents=True)
    for command in commands:
        given, _, target = command.replace("FILE", file).partition(" > ")
        done = run(tmp_path, *shlex.split(given))
        assert done.code == 0, done.error
        if target:
            (tmp_path / target).write_text(done.out, encoding="utf-8")
    assert "nothing to make" in run(tmp_path, "recipe=merge_yaml", "merge.file=merge.yaml").out


def test_a_sweep_keeps_sums_without_weights(words, tmp_path):
    done = run(tmp_path, "-m", *words("slerp_second_base"), "merger.parameters.t=0.2,0.4")
    assert done.code == 0, done.error
    files = list((tmp_path / "outputs/store").rglob("*.safetensors"))
    assert all(file.is_symlink() for file in files), "the parents' own"


@pytest.mark.parametrize("name", ["model_stock", "karcher", "nuslerp_of_task_vectors", "linear"])
def test_what_is_a_weighted_sum_is_kept_as_one(words, tmp_path, name):
    done = run(tmp_path, "-m", *words(name), "seed=0,1")
    assert done.code == 0, done.error
    files = list((tmp_path / "outputs/store").rglob("*.safetensors"))
    assert all(file.is_symlink() for file in files), "the parents' own"


@pytest.mark.parametrize("name", ["passthrough", "passthrough_scaled", "slerp_slices"])
def test_layers_that_move_are_kept_as_sums(words, example, family, tmp_path, name):
    done = run(tmp_path, "-m", *words(name), "seed=0,1")
    assert done.code == 0, done.error
    files = list((tmp_path / "outputs/store").rglob("*.safetensors"))
    assert all(file.is_symlink() for file in files), "the parents' own"
    place = next((tmp_path / "outputs/latest/cells").glob("*/merger")).resolve()
    merged = Checkpoint(place, place.name)
    written = dict(ours(example(name, family("llama")), tmp_path / "written").tensors())
    found = dict(merged.tensors())
    assert found.keys() == written.keys()
    assert all(torch.equal(found[each], written[each]) for each in found)
    assert merged.load().config.num_hidden_layers == merged.config()["num_hidden_layers"]


def test_what_has_no_effect_is_told_by_the_plan(family, example, tmp_path):
    file = example("slerp_second_base", family("llama"))
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("  t: 0.3", "  t: 0.3\n  int8_mask: true"), encoding="utf-8")
    done = run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}")
    assert "parameters.int8_mask is no parameter of the method, and without effect" in done.out


def test_what_has_no_effect_in_a_sweep_is_told(words, tmp_path):
    sweep = ("merger.parameters.epsilon=0.1,0.2", "merger.method=ties,karcher")
    told = run(tmp_path, "plan", "-m", *words("ties"), *sweep).out
    assert "parameters.epsilon is no parameter of the method, and without effect" in told
    assert "slices[0].sources[0].parameters.density is no parameter of the method" in told


def test_a_whole_number_may_be_a_gradient(example, family, tmp_path):
    file = example("karcher", family("llama"))
    text = file.read_text(encoding="utf-8")
    assert "max_iter: 10" in text
    file.write_text(text.replace("max_iter: 10", "max_iter: [1, 10]"), encoding="utf-8")
    assert ours(file, tmp_path / "ours").load().config.num_hidden_layers == 4


def test_the_report_names_models_layers_and_parameters(words, tmp_path):
    done = run(tmp_path, *words("weights_by_source_layer"))
    assert done.code == 0, done.error
    page = re.sub("<[^>]+>", " ", (tmp_path / "outputs/latest/report.html").read_text("utf-8"))
    page = " ".join(page.split())
    assert "linear: weight 0.3 in layers.2.self_attn, 0.8 elsewhere, normalize False in" in page
    assert "1 1 one 2 to 3 weight 0.9 in layers.3.mlp, 0.2 elsewhere 1 2 two 0 to 1 weight" in page
    assert "2 2 two 1 to 2 weight 0.1, 0.6 2 1 one 1 to 2" in page


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("self_attn", "self_atn", "part of no tensor's name; did you mean 'self_attn'"),
        ("[0, 4]", "[0, 5]", "model 1 has 4 layers, and layers 0 to 5 are asked for"),
        ("[0, 4]", "[0, 5]", "merger.slices[0].sources[0].layers=[0, 5]"),
        ("  t:", "  tt:", "parameters.tt: no parameter of any method"),
    ],
)
def test_what_cannot_be_is_refused_at_plan_time(family, example, tmp_path, old, new, problem):
    file = example("slerp_by_layer", family("llama"))
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    done = run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}")
    assert done.code == 1
    assert problem in done.error


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("della", "density: 0.5", "density: 0.1", "-0.05 to 0.25, must lie between 0 and 1"),
        ("linear", "weight: 1.0", "weight: [-2.0, 1.0]", "weights [-2.0, 2.0] sum to 0"),
    ],
)
def test_values_that_cannot_be_together_are_refused_at_plan_time(
    family, example, tmp_path, name, old, new, problem
):
    file = example(name, family("llama"))
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    assert problem in run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}").error


def test_models_of_different_depth_are_refused_without_slices(family, example, tmp_path):
    deep = make_checkpoint(tmp_path / "deep", num_hidden_layers=5).directory
    file = example("karcher", family("llama"))
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(str(family("llama") / "two"), str(deep)), encoding="utf-8")
    done = run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}")
    assert "num_hidden_layers is 4 in one, 5 in the other" in done.error


def test_an_adapter_of_another_model_is_refused_at_plan_time(family, example, tmp_path):
    wide = make_checkpoint(tmp_path / "wide", hidden_size=48, num_hidden_layers=4).directory
    file = example("linear_with_adapter", family("llama"))
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(f"{family('llama')}/one+", f"{wide}+"), encoding="utf-8")
    done = run(tmp_path, "plan", "recipe=merge_yaml", f"merge.file={file}")
    assert done.code == 1
    assert re.search(r"adapter: changes a model\S+ of \[\d+, \d+\], the model's is", done.error)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("seed=0", "names no mergekit YAML: write merge.file=FILE"),
        ("merge.file=none.yaml", "none.yaml: No such file"),
        ("merge.file=[a]", "must name a mergekit YAML"),
    ],
)
def test_a_recipe_without_a_file_says_so(tmp_path, word, problem):
    assert problem in run(tmp_path, "plan", "recipe=merge_yaml", word).error


def test_the_recipe_of_a_file_has_its_names_as_they_are(tmp_path):
    for name in ("модель", "模型"):
        (tmp_path / name).mkdir()
    text = "merge_method: linear\nmodels: [{model: модель}, {model: 模型}]\nparameters: {weight: 1}"
    (tmp_path / "é.yaml").write_text(text, encoding="utf-8")
    done = run(tmp_path, "mergekit", "é.yaml")
    assert "# The merge of é.yaml." in done.out
    assert "model_2: {path: 模型}" in done.out


def test_the_verb_names_a_file_that_is_not_there(tmp_path):
    assert run(tmp_path, "mergekit", "none.yml").error == "none.yml: no such file"


OURS = {
    "slerp": ["merger.schedules={mlp: [0, 1], self_attn: [1, 0.2, 0.7]}"],
    "linear": ["merger.weights=[0.3, 0.9]"],
    "ties": ["merger.density=0.3", "graph.merger.models=[partner, two]"],
    "depth_upscale": [
        *("merger.m=1", "+graph.merger.model=partner", "~graph.merger.base"),
        "~graph.merger.models",
    ],
}


@pytest.mark.parametrize("component", OURS)
def test_a_merge_of_ours_is_the_same_by_the_yaml_that_says_it(family, tmp_path, component):
    places = {"base_model": "base", "partner": "one", "two": "two"}
    words = [f"{stage}.path={family('llama') / name}" for stage, name in places.items()]
    words += [f"merger={component}", "+base_model@two=path", *OURS[component]]
    done = run(tmp_path, "recipe=merge", *words)
    assert done.code == 0, done.error
    first = dict(Checkpoint((tmp_path / "outputs/latest/merger").resolve()).tensors())
    (tmp_path / "said.yaml").write_text(run(tmp_path, "mergekit", "latest").out, encoding="utf-8")
    done = run(tmp_path, "recipe=merge_yaml", "merge.file=said.yaml")
    assert done.code == 0, done.error
    assert_one_rounding_apart(Checkpoint((tmp_path / "outputs/latest/merger").resolve()), first)


def test_a_sweep_over_files_is_refused(tmp_path):
    done = run(tmp_path, "-m", "recipe=merge_yaml", "merge.file=a,b")
    assert "a run merges by one file" in done.error

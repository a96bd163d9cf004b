"""Exports as the last stages of recipes."""

import pytest

from storm_exp import PlanError
from storm_exp._plan.notices import list_notices
from storm_export.gguf.libllama import FOLDER
from storm_export.gguf.needed import notices
from storm_export.swept import left_out
from storm_models.testing import make_checkpoint

WIDE = {"hidden_size": 256, "head_dim": 64, "intermediate_size": 512}


def test_a_plan_says_that_libllama_is_missing(tmp_path, monkeypatch, plan):
    make_checkpoint(tmp_path / "model", **WIDE)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    words = [
        "recipe=merge",
        f"base_model.path={tmp_path / 'model'}",
        f"partner.path={tmp_path / 'model'}",
        "+exporter=gguf",
        "exporter.types=[q4_k_m]",
        "+graph.exporter.model=merger",
    ]
    (line,) = notices(plan(*words))
    assert line.startswith("exporter: q4_k_m will need") and "npm install" in line
    assert notices(plan(*words, "exporter.types=[q8_0]")) == []


def test_published_forms_end_the_recipes(planned):
    for recipe, model, types in (
        ("storm", "merger", ["q8_0", "q4_0"]),
        ("tinyllama", "aligner", ["q8_0", "q4_0"]),
        ("storm_8b", "merger", ["q8_0", "q4_k_m"]),
        ("tinyllama_1_1b", "aligner", ["q8_0", "q4_k_m"]),
    ):
        nodes = planned(f"recipe={recipe}")
        assert [type_.value for type_ in nodes["gguf"].settings.types] == types
        for exported in ("gguf", "ollama", "hub"):
            assert [each.key for each in nodes[exported].inputs["model"]] == [nodes[model].key]
        assert nodes["hub"].settings.license
    generation = planned("recipe=storm_8b")["hub"].settings.generation
    assert generation == {"do_sample": True, "temperature": 0.01, "top_k": 100, "top_p": 0.95}


def test_a_benchmark_that_nobody_scores_is_refused_with_the_plan(plan):
    words = ("recipe=storm", "targets=[hub]")
    planned = plan(*words)
    (hub,) = (node for node in planned.nodes.values() if node.stage == "hub")
    (task, *_) = hub.inputs["evaluations"][0].spec.tasks
    plan(*words, f"+hub.benchmarks.{task}=owner/data")
    refused = r"hub\.benchmarks\.gsm8k='owner/data': no connected evaluation of merger asks this"
    with pytest.raises(PlanError, match=refused):
        plan(*words, "+hub.benchmarks.gsm8k=owner/data")
    # The scores of other models do not count.
    with pytest.raises(PlanError, match=rf"no connected evaluation of finetuner .*{task}"):
        plan(
            *words,
            "graph.hub.model=finetuner",
            "graph.hub.evaluations=[evaluator]",
            "graph.evaluator.model=[merger]",
            f"+hub.benchmarks.{task}=owner/data",
        )


def test_a_sweep_exports_nothing_unless_it_is_asked_to(plan):
    swept = ("-m", "recipe=storm", "merger.t=0.3,0.6")
    planned = plan(*swept)
    assert {node.stage for node in planned.nodes.values()}.isdisjoint({"hub", "gguf", "ollama"})
    assert "comparison" in {node.stage for node in planned.nodes.values()}
    (line,) = left_out(planned)
    assert "a sweep does not export its models" in line
    assert "targets=[comparison,hub,gguf,ollama]" in line
    assert left_out(plan("-m", "recipe=storm", "merger.t=0.3")) == [line]
    asked = plan(*swept, "targets=[comparison,hub,ollama]")
    assert sum(node.stage in ("hub", "gguf", "ollama") for node in asked.nodes.values()) == 6
    assert left_out(asked) == left_out(plan("recipe=storm")) == []


def test_one_word_makes_storms_eight_bits_static(planned):
    for recipe in ("storm", "storm_8b", "smoke"):
        nodes = planned(f"recipe={recipe}", "compressor=fp8_static")
        made = nodes["compressor"]
        assert {port: [each.label for each in those] for port, those in made.inputs.items()} == {
            "model": ["merger"],
            "data": ["curator"],
        }
        assert made.settings.samples == 512
        assert planned(f"recipe={recipe}")["compressor"].inputs.keys() == {"model"}


def test_a_recipe_makes_both_forms_of_eight_bits(planned):
    both = ("+compressor@static=fp8_static", "+graph.static={model: merger, data: curator}")
    nodes = planned("recipe=storm_8b", *both)
    assert nodes["static"].component.name == "fp8_static"
    assert nodes["compressor"].component.name == "fp8_dynamic"
    alone = planned("recipe=storm_8b")
    assert {n.key for n in alone.values()} == {n.key for n in nodes.values()} - {
        nodes["static"].key
    }


MATRIX = ("+scanner@matrix=importance_matrix", "+graph.matrix={model: merger, data: curator}")


def test_an_importance_matrix_is_a_stage_of_the_plan(planned):
    nodes = planned("recipe=storm_8b", *MATRIX, "+graph.gguf.importance=matrix")
    alone = planned("recipe=storm_8b")
    assert nodes.keys() - alone.keys() == {"matrix"}
    matrix = nodes["matrix"]
    assert nodes["gguf"].inputs["importance"] == [matrix]
    assert matrix.inputs["model"] == [nodes["merger"]]
    assert matrix.inputs["data"] == [nodes["curator"]]
    assert {label for label in alone if alone[label].key != nodes[label].key} == {"gguf", "ollama"}


def test_a_matrix_that_no_type_is_rounded_by_is_not_measured(plan):
    words = ("recipe=storm", *MATRIX, "+graph.gguf.importance=matrix", "gguf.types=[q8_0]")
    made = plan(*words)
    assert not any(node.label == "matrix" for node in made.to_make())
    (line,) = [each for each in list_notices(made) if each.startswith("unused")]
    assert "graph.gguf.importance" in line


def test_a_plan_says_that_libllama_is_missing_for_a_matrix(plan, monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    words = ("recipe=storm", *MATRIX, "+graph.gguf.importance=matrix")
    assert any("gguf: q4_0 will need" in line for line in notices(plan(*words)))
    assert notices(plan("recipe=storm")) == []

"""Exports as the last stages of recipes."""

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


def test_a_sweep_exports_nothing_unless_it_is_asked_to(plan):
    swept = ("-m", "recipe=storm", "merger.t=0.3,0.6")
    planned = plan(*swept)
    assert {node.stage for node in planned.nodes.values()}.isdisjoint({"hub", "gguf", "ollama"})
    assert "comparison" in {node.stage for node in planned.nodes.values()}
    (line,) = left_out(planned)
    assert "a sweep does not export its models" in line and "targets=[hub,gguf,ollama]" in line
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

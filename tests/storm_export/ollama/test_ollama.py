"""Modelfiles, and the files they refer to."""

import json

import pytest

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.formats import GgufType
from storm_export.ollama.exporter import Ollama
from storm_export.ollama.modelfile import modelfile, parameters, parse
from storm_models.testing import make_checkpoint


@pytest.fixture
def exported(tmp_path):
    """A model, and its GGUF files in two types."""
    model = make_checkpoint(tmp_path / "model", extra_tokens=("<|im_end|>",), eos_token_id=[1, 2])
    config = {"eos_token_id": [1, 2], "temperature": 0.01, "top_k": 100, "top_p": 0.95}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(config))
    types = [GgufType.q8_0, GgufType.q4_0]
    return model, Gguf(types=types).run(make_stage(tmp_path, "gguf"), model)


def test_a_modelfile_has_file_template_stops_and_parameters(exported, tmp_path):
    model, gguf = exported
    made = run_component(Ollama(), make_stage(tmp_path, "ollama"), model, gguf)
    first, second = made.modelfiles()
    assert (first.name, second.name) == ("Modelfile", "Modelfile-Q4_0")
    instructions = parse(first.read_text())
    assert instructions[0] == ("FROM", "./model-Q8_0.gguf")
    assert parse(second.read_text())[0] == ("FROM", "./model-Q4_0.gguf")
    assert instructions[1][0] == "TEMPLATE" and "range .Messages" in instructions[1][1]
    assert [value for name, value in instructions if name == "PARAMETER"] == [
        'stop "<|end|>"',
        'stop "<|system|>"',
        "temperature 0.01",
        "top_k 100",
        "top_p 0.95",
    ]
    for name in ("model-Q8_0.gguf", "model-Q4_0.gguf"):
        # A hard link, which outlives the original.
        assert (made.directory / name).samefile(gguf.directory / name)


@pytest.mark.engines
def test_its_file_and_template_work_in_llama_cpp(exported, tmp_path, llama_cpp):
    from storm_export.ollama.chats import plain_chats
    from storm_export.ollama.go_form import go_values
    from storm_export.ollama.go_template import GoTemplate

    model, gguf = exported
    made = run_component(Ollama(), make_stage(tmp_path, "ollama"), model, gguf)
    instructions = dict(parse(made.modelfiles()[0].read_text())[:2])
    chats = plain_chats()
    with llama_cpp(made.directory / instructions["FROM"]) as server:
        for chat, prompt in zip(chats, model.chat().prompts(chats), strict=True):
            text = GoTemplate(instructions["TEMPLATE"]).render(go_values(chat))
            assert server.ids(text) == prompt


def test_the_licence_is_in_the_modelfile(exported, tmp_path):
    (tmp_path / "LICENSE").write_text("Do as\nyou like.\n")
    stage = make_stage(tmp_path, "ollama")
    made = run_component(Ollama(license=str(tmp_path / "LICENSE")), stage, *exported)
    assert ("LICENSE", "Do as\nyou like.") in parse(made.modelfiles()[0].read_text())


def test_a_missing_licence_is_refused_at_plan_time(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    from storm_export.gguf.files import GgufSpec

    with pytest.raises(SettingError, match="license"):
        Ollama(license=str(tmp_path / "none")).plan_spec(model.spec(), GgufSpec())


def test_a_model_without_a_template_is_refused_at_plan_time(tmp_path):
    from storm_export.gguf.files import GgufSpec

    model = make_checkpoint(tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        Ollama().plan_spec(model.spec(), GgufSpec())


def test_greedy_is_temperature_zero():
    assert parameters({"do_sample": False, "top_k": 5}) == {"top_k": 5, "temperature": 0}
    assert parameters({"repetition_penalty": 1.1, "eos_token_id": 3}) == {"repeat_penalty": 1.1}


@pytest.mark.parametrize("text", ['a """ b', 'ends with "'])
def test_a_text_that_cannot_be_quoted_is_refused(text):
    with pytest.raises(InputError, match='"""'):
        modelfile("f", text, [], {}, "")


def test_unknown_instructions_are_refused():
    with pytest.raises(ValueError):
        parse("FROM x\nhello\n")
    with pytest.raises(ValueError):
        parse('TEMPLATE """open')

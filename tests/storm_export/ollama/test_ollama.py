"""Modelfiles, and what they name."""

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
    said = {"eos_token_id": [1, 2], "temperature": 0.01, "top_k": 100, "top_p": 0.95}
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(said))
    types = [GgufType.q8_0, GgufType.q4_0]
    return model, Gguf(types=types).run(make_stage(tmp_path, "gguf"), model)


def test_a_modelfile_says_file_template_stops_and_parameters(exported, tmp_path):
    model, gguf = exported
    made = run_component(Ollama(), make_stage(tmp_path, "ollama"), model, gguf)
    first, second = made.modelfiles()
    assert (first.name, second.name) == ("Modelfile", "Modelfile-Q4_0")
    said = parse(first.read_text())
    assert said[0] == ("FROM", "./model-Q8_0.gguf")
    assert parse(second.read_text())[0] == ("FROM", "./model-Q4_0.gguf")
    assert said[1][0] == "TEMPLATE" and "range .Messages" in said[1][1]
    assert [value for name, value in said if name == "PARAMETER"] == [
        'stop "<|end|>"',
        'stop "<|system|>"',
        "temperature 0.01",
        "top_k 100",
        "top_p 0.95",
    ]
    for name in ("model-Q8_0.gguf", "model-Q4_0.gguf"):
        # A second name of the same file, which stays when the first one goes.
        assert (made.directory / name).samefile(gguf.directory / name)


@pytest.mark.engines
def test_what_it_names_is_loaded_by_llama_cpp(exported, tmp_path, llama_cpp):
    from storm_export.ollama.chats import plain_chats
    from storm_export.ollama.go_form import go_values
    from storm_export.ollama.go_template import GoTemplate

    model, gguf = exported
    made = run_component(Ollama(), make_stage(tmp_path, "ollama"), model, gguf)
    said = dict(parse(made.modelfiles()[0].read_text())[:2])
    chats = plain_chats()
    with llama_cpp(made.directory / said["FROM"]) as server:
        for chat, prompt in zip(chats, model.chat().prompts(chats), strict=True):
            text = GoTemplate(said["TEMPLATE"]).render(go_values(chat))
            assert server.ids(text) == prompt


def test_the_licence_goes_along(exported, tmp_path):
    (tmp_path / "LICENSE").write_text("Do as\nyou like.\n")
    stage = make_stage(tmp_path, "ollama")
    made = run_component(Ollama(license=str(tmp_path / "LICENSE")), stage, *exported)
    assert ("LICENSE", "Do as\nyou like.") in parse(made.modelfiles()[0].read_text())


def test_a_licence_that_is_not_there_is_said_with_the_plan(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    from storm_export.gguf.files import GgufSpec

    with pytest.raises(SettingError, match="license"):
        Ollama(license=str(tmp_path / "none")).plan_spec(model.spec(), GgufSpec())


def test_a_model_without_a_template_is_refused_with_the_plan(tmp_path):
    from storm_export.gguf.files import GgufSpec

    model = make_checkpoint(tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        Ollama().plan_spec(model.spec(), GgufSpec())


def test_greedy_is_temperature_zero():
    assert parameters({"do_sample": False, "top_k": 5}) == {"top_k": 5, "temperature": 0}
    assert parameters({"repetition_penalty": 1.1, "eos_token_id": 3}) == {"repeat_penalty": 1.1}


@pytest.mark.parametrize("text", ['a """ b', 'ends with "'])
def test_a_text_that_would_end_early_is_refused(text):
    with pytest.raises(InputError, match='"""'):
        modelfile("f", text, [], {}, "")


def test_stray_lines_are_no_modelfile():
    with pytest.raises(ValueError):
        parse("FROM x\nhello\n")
    with pytest.raises(ValueError):
        parse('TEMPLATE """open')

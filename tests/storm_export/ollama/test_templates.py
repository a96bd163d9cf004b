"""Chat templates translated to Go, also rendered by Go itself where it is installed."""

import functools
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from storm_exp import InputError
from storm_export.ollama.chats import plain_chats, tool_chats
from storm_export.ollama.go_form import go_values
from storm_export.ollama.go_template import GoTemplate, go_json
from storm_export.ollama.template import go_chat_template
from storm_export.ollama.transitions import normalised
from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ChatSettings, families
from storm_models.chat.template import UnusableChat
from storm_models.testing import make_checkpoint
from storm_models.twins.writer import TEMPLATES

TURNS = (
    "<|im_start|> <|im_end|> <|start_header_id|> <|end_header_id|> <|eot_id|> <start_of_turn> "
    "<end_of_turn>"
)
KNOWN = [*families(), *(str(file) for file in sorted(TEMPLATES.glob("*.jinja")))]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model with the tokens of all families' turns."""
    folder = tmp_path_factory.mktemp("model")
    made = make_checkpoint(folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    first = content["added_tokens"][0]
    content["added_tokens"] += [
        {**first, "id": 262 + i, "content": token} for i, token in enumerate(TURNS.split())
    ]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["bos_token"] = "<|pad|>"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return made


@functools.cache
def go_program(folder):
    """Return the compiled renderer in Go; None where Go is not installed."""
    if shutil.which("go") is None:
        return None
    program = Path(folder) / "render"
    source = Path(__file__).with_name("render.go")
    words = ["go", "build", "-o", str(program), str(source)]
    environment = {"HOME": folder, "GOFLAGS": "-mod=mod", "PATH": "/usr/bin:/bin:/usr/local/go/bin"}
    subprocess.run(words, check=True, env=environment, cwd=folder)
    return program


@pytest.fixture(scope="module")
def rendered_by(tmp_path_factory):
    """Return {name: function of a template and chats} for our renderer and Go's."""
    program = go_program(str(tmp_path_factory.mktemp("go")))
    renderers = {"ours": lambda text, chats: [GoTemplate(text).render(go_values(c)) for c in chats]}
    if program is not None:

        def by_go(text, chats):
            lines = [json.dumps({"template": text, "values": go_values(chat)}) for chat in chats]
            answer = subprocess.run(
                [str(program)], input="\n".join(lines), capture_output=True, check=True, text=True
            )
            return [json.loads(line) for line in answer.stdout.splitlines()]

        renderers["go"] = by_go
    return renderers


@pytest.mark.parametrize("name", KNOWN)
def test_twenty_chats_are_written_as_transformers_writes_them(name, model, rendered_by):
    write_chat_settings(model.directory, ChatSettings(template=name))
    renderer, tokenizer = model.chat(), model.tokenizer()
    translated, remarks = go_chat_template(renderer, "", "")
    plain, tools = plain_chats(), tool_chats()
    assert len(plain) + len(tools) == 20
    has_tools = any(remark.startswith("tools and calls are written") for remark in remarks)
    assert has_tools == (name in ("chatml", "llama3"))
    for chats in (plain, tools if has_tools else []):
        expected = {}
        for chat in chats:
            try:
                renderer.text(chat, ask=True)
            except UnusableChat:  # the template supports no system message, for example
                continue
            expected[id(chat)] = tokenizer.apply_chat_template(
                chat.messages,
                tools=chat.tools,
                tokenize=False,
                add_generation_prompt=True,
                date_string="26 Jul 2024",
            )
        usable = [chat for chat in chats if id(chat) in expected]
        assert len(usable) >= min(6, len(chats))
        for name, render in rendered_by.items():
            for chat, text in zip(usable, render(translated, usable), strict=True):
                if chats is tools:
                    assert normalised(text) == normalised(expected[id(chat)]), name
                else:
                    assert text == expected[id(chat)], name


STRANGE = {
    "counts turns": "{% for m in messages %}{{ loop.index }}:{{ m.content }}\n{% endfor %}",
    "shouts": "{% for m in messages %}{{ m.role }}:{{ m.content | upper }}\n{% endfor %}",
    "only the last turn": "{{ messages[-1].content }}",
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_template_that_cannot_be_translated_is_refused(name, model):
    (model.directory / "chat_template.jinja").write_text(STRANGE[name])
    with pytest.raises(InputError, match="chat template"):
        go_chat_template(model.chat(), "", "")


def test_the_tokens_that_the_tokenizer_adds_are_left_out(model):
    write_chat_settings(model.directory, ChatSettings(template="mistral"))
    values = go_values(plain_chats()[0])
    texts = [
        GoTemplate(go_chat_template(model.chat(), bos, first)[0]).render(values)
        for bos, first in (("", ""), ("<|pad|>", ""), ("<|pad|>", " "))
    ]
    assert texts[0].startswith("<|pad|>[INST] ")
    assert texts[1] == texts[0].removeprefix("<|pad|>") and texts[2] == f" {texts[1]}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a {{- "b" -}} c', "abc"),
        ('{{ "}}" }}{{ "\\"" }}', '}}"'),
        ('{{ if and .A (eq .C "d") }}x{{ else if not .A }}y{{ else }}z{{ end }}', "z"),
        ('{{ if eq .C "d" "c" }}x{{ end }}', "x"),
        ("{{ range $i, $x := .L }}{{ if $i }}, {{ end }}{{ $x }}{{ $.C }}{{ end }}", "1c, 2c"),
        ("{{ $n := .C }}{{ range .L }}{{ $n }}{{ $n = . }}{{ end }}{{ $n }}", "c12"),
        ("{{ json .M }}", '{"a":[1,"\\u003c"],"b":null}'),
    ],
)
def test_our_renderer_agrees_with_gos(text, expected, tmp_path_factory):
    values = {"A": True, "B": 2, "C": "c", "L": [1, 2], "M": {"b": None, "a": [1, "<"]}}
    assert GoTemplate(text).render(values) == expected
    program = go_program(str(tmp_path_factory.getbasetemp()))
    if program is not None:
        line = json.dumps({"template": text, "values": values})
        answer = subprocess.run([str(program)], input=line, capture_output=True, text=True)
        assert json.loads(answer.stdout) == expected


@pytest.mark.parametrize("text", ["{{ if .A }}", "{{ end }}", "{{ $unknown }}", "{{ .A | upper }}"])
def test_broken_templates_are_refused(text):
    with pytest.raises(ValueError):
        GoTemplate(text).render({"A": "a"})


def test_json_is_written_as_go_does():
    assert go_json({"b": "é", "a": "&"}) == '{"a":"\\u0026","b":"é"}'

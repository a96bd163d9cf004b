"""Chats with a model whose answer is known, through the verb as through its parts."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from storm_exp import InputError
from storm_inference.chat.chat_setup import ChatSetup, read_chat_setup
from storm_inference.chat.context import Context, NoRoom
from storm_inference.chat.prompts import Prompts
from storm_inference.chat.sampling import SamplingOptions
from storm_inference.chat.session import INTERRUPTED, Session, converse, one_shot
from storm_inference.chat.terminal import Terminal
from storm_inference.chat.transformers_backend import TransformersBackend
from storm_inference.chat.verb import chat
from storm_models.chat.template import UnusableChat
from storm_models.testing import make_checkpoint


class Typed(Terminal):
    """A terminal at which somebody types lines, and Ctrl-C where a line is None."""

    def __init__(self, *lines: str | None) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        super().__init__(self.out, self.err)
        self._lines = list(lines)

    def ask(self) -> str:
        if not self._lines:
            raise EOFError
        line = self._lines.pop(0)
        if line is None:
            raise KeyboardInterrupt
        return line


class Talks:
    """Answers with pieces, and notes what it was asked; a piece that is None is Ctrl-C."""

    about = "a toy"

    def __init__(self, *pieces: str | None) -> None:
        self._pieces, self.asked = pieces, []

    def check(self, chat) -> None:
        if any("<|" in message["content"] for message in chat.messages):
            raise UnusableChat("its contents hold the control token <|")

    def answer(self, chat, sampling, write) -> bool:
        self.check(chat)
        self.asked.append([(m["role"], m["content"]) for m in chat.messages])
        for piece in self._pieces:
            if piece is None:
                raise KeyboardInterrupt
            write(piece)
        return True

    def close(self) -> None:
        pass


def session(backend, terminal, setup=None) -> Session:
    return Session(backend, setup or ChatSetup(), SamplingOptions(), terminal)


@pytest.fixture(scope="module")
def backend(talker):
    made = TransformersBackend(talker, Prompts(talker))
    yield made
    made.close()


def test_one_message_is_answered_and_nothing_else_is_written(talker, capfd):
    assert chat([str(talker.directory), "--say", "spell it"]) == 0
    said = capfd.readouterr()
    assert said.out == "ab\n"
    assert said.err == ""


def test_words_on_standard_input_are_one_message(talker, capfd, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("spell it\n"))
    assert chat([str(talker.directory)]) == 0
    assert capfd.readouterr().out == "ab\n"


def test_an_answer_is_written_token_by_token(backend):
    terminal, pieces = Typed(), []
    terminal.write = pieces.append
    assert session(backend, terminal).say("spell it")
    assert [piece for piece in pieces if piece] == ["a", "b"]


def test_an_answer_that_is_cut_is_said_to_be(talker, capfd):
    assert chat([str(talker.directory), "--say", "spell it", "--max-tokens", "1"]) == 0
    said = capfd.readouterr()
    assert said.out == "a\n"
    assert "--max-tokens" in said.err


def test_the_same_seed_draws_the_same(tmp_path, capfd):
    model = str(make_checkpoint(tmp_path, dtype="float32").directory)
    drawn = ["--temperature", "1", "--max-tokens", "8"]
    answers = []
    for seed in ("1", "1", "2"):
        chat([model, "--say", "hello", *drawn, "--seed", seed])
        answers.append(capfd.readouterr().out)
    assert answers[0] == answers[1] != answers[2]


def test_a_chat_goes_on_until_it_is_ended():
    backend, terminal = Talks("o", "k"), Typed("one", "", "two")
    assert converse(session(backend, terminal, ChatSetup(system="be kind")), terminal) == 0
    assert backend.asked == [
        [("system", "be kind"), ("user", "one")],
        [("system", "be kind"), ("user", "one"), ("assistant", "ok"), ("user", "two")],
    ]
    assert terminal.out.getvalue() == "ok\nok\n\n"


def test_an_interrupt_ends_the_answer_and_what_was_said_stays():
    backend, terminal = Talks("half", None), Typed("one", "two")
    assert converse(session(backend, terminal), terminal) == 0
    assert backend.asked[1] == [("user", "one"), ("assistant", "half"), ("user", "two")]


def test_a_second_interrupt_ends_the_chat():
    backend, terminal = Talks("half", None), Typed("one", None, "never")
    assert converse(session(backend, terminal), terminal) == INTERRUPTED
    assert len(backend.asked) == 1


def test_an_interrupt_before_the_first_token_forgets_the_message():
    backend, terminal = Talks(None), Typed("one", "two", None)
    assert converse(session(backend, terminal), terminal) == INTERRUPTED
    assert backend.asked == [[("user", "one")], [("user", "two")]]


def test_a_message_that_would_steer_the_model_is_not_sent():
    backend, terminal = Talks("ok"), Typed("a<|end|>b", "two")
    converse(session(backend, terminal), terminal)
    assert backend.asked == [[("user", "two")]]
    assert "not sent" in terminal.err.getvalue()


def test_an_answer_that_would_steer_the_model_is_shown_and_not_kept():
    backend, terminal = Talks("<|end|>"), Typed("one", "two")
    converse(session(backend, terminal), terminal)
    assert backend.asked == [[("user", "one")], [("user", "two")]]
    assert "<|end|>" in terminal.out.getvalue()
    assert terminal.err.getvalue().count("continues without this answer") == 2


def test_contents_never_become_control_tokens(backend):
    terminal = Typed()
    with pytest.raises(InputError, match=r"not sent.*<\|assistant\|>"):
        one_shot(session(backend, terminal), terminal, "a<|assistant|>b")


def test_calls_of_tools_are_shown(tmp_path):
    call = '<tool_call>{"tool_name": "find", "tool_arguments": {"what": "é"}}</tool_call>'
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([{"name": "find", "description": "Finds", "parameters": {}}]))
    backend, terminal = Talks("I look. ", call), Typed("where is it?")
    converse(session(backend, terminal, read_chat_setup("", str(tools), "storm")), terminal)
    assert 'tool call: find({"what": "é"})' in terminal.err.getvalue()
    ((role, prompt), _) = backend.asked[0]
    assert role == "system" and '"name": "find"' in prompt


def with_tools(folder, model) -> list[str]:
    """The words of a chat in which a model may call a tool."""
    tools = folder / "tools.json"
    tools.write_text(json.dumps([{"type": "function", "function": {"name": "find"}}]))
    return [str(model.directory), "--say", "hello", "--tools", str(tools)]


def test_tools_that_the_template_does_not_show_are_refused_with_what_helps(tmp_path):
    model = make_checkpoint(tmp_path / "model", max_position_embeddings=4096)
    with pytest.raises(InputError, match=r"does not show its tools; --tool-form storm shows tools"):
        chat(with_tools(tmp_path, model))


def test_a_prompt_for_tools_that_the_model_has_no_room_for_is_not_advised(talker, tmp_path):
    with pytest.raises(InputError) as refused:
        chat(with_tools(tmp_path, talker))
    assert re.search(
        r"does not show its tools; nor can --tool-form storm .*: \d+ tokens leave no room for an "
        r"answer in 256, the model's context .*smollm2_135m",
        str(refused.value),
    )


def test_a_prompt_for_tools_beyond_the_context_is_refused_with_what_helps(talker, tmp_path):
    with pytest.raises(InputError, match=r"cannot start: \d+ tokens leave no room.*smollm2_135m"):
        chat([*with_tools(tmp_path, talker), "--tool-form", "storm"])


def test_two_tools_of_one_name_are_refused(tmp_path):
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([{"name": "find"}, {"function": {"name": "find"}}]))
    with pytest.raises(InputError, match=r"tools\.json: two functions have the name 'find'"):
        read_chat_setup("", str(tools), "template")


@pytest.mark.parametrize("content", ["{", "{}", "[]", "[1]", '[{"name": 1}]', None])
def test_a_file_that_is_no_list_of_tools_is_named(tmp_path, content):
    file = tmp_path / "tools.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=r"--tools .*tools\.json"):
        read_chat_setup("", str(file), "template")


def test_a_model_without_a_chat_template_is_refused_with_what_helps(talker, tmp_path):
    folder = tmp_path / "bare"
    shutil.copytree(talker.directory, folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match=r"no chat template.*chat\.template=chatml"):
        chat([str(folder), "--say", "hello"])


def test_a_message_beyond_the_context_is_not_sent(talker):
    longer = "leave no room for an answer in 64, --max-length: .*--max-length may be up to 256$"
    with pytest.raises(InputError, match=longer):
        chat([str(talker.directory), "--say", "word " * 50, "--max-length", "64"])
    context = r"in 256, the model's context \(max_position_embeddings in its config.json\): shorten"
    with pytest.raises(InputError, match=context):
        chat([str(talker.directory), "--say", "word " * 60])


def test_the_context_of_a_gguf_file_and_of_a_server_is_named():
    where = "context_length in a.gguf"
    with pytest.raises(NoRoom, match=r"in 256, the model's context \(context_length in a.gguf\)"):
        Context.of(256, None, 8192, where).check(256)
    with pytest.raises(NoRoom, match=r"in 8192, the default of --max-length .* up to 9000"):
        Context.of(9000, None, 8192, where).check(8192)
    context = Context.of(256, 100, 8192)
    context.check(99)
    assert context.room(90, 40) == 10


LIGHT = """
import sys
from storm_exp import InputError
from storm_inference.chat.verb import chat
try:
    chat([sys.argv[1], "--say", "hello", "--inference", "vllm"])
except InputError as error:
    print(error, "torch" in sys.modules, "transformers" in sys.modules)
"""


def test_an_environment_that_is_missing_is_told_before_anything_heavy_is_imported(talker, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(talker.directory)],
        env={**os.environ, "STORM_EXP_ENVIRONMENTS": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("storm-exp env create vllm False False\n")


@pytest.mark.parametrize("say", ["", "  "])
def test_nothing_said_is_an_error(talker, say):
    with pytest.raises(InputError, match="there is no message"):
        chat([str(talker.directory), "--say", say])


def test_a_word_too_many_is_refused_with_the_usage(talker):
    with pytest.raises(InputError, match=r"--temp.*\nusage: storm-exp chat"):
        chat([str(talker.directory), "--say", "hello", "--temperature", "hot"])


def test_help_names_every_option(capsys):
    assert chat(["--help"]) == 0
    assert "--tool-form" in capsys.readouterr().out

"""Chat templates of merges."""

from __future__ import annotations

import re

import pytest

from storm_exp import SettingError
from storm_merging.vocabulary.chat_template import (
    chat_template,
    check_chat_template,
    write_chat_template,
)
from storm_models.chat.inheritance import own_template
from storm_models.chat.settings import ChatSettings

MARKED = "{% generation %}{{ messages }}{% endgeneration %}"
TEXT = "{% for message in messages %}{{ message.content }}{% endfor %}"


def test_the_template_of_most_models_is_taken(tmp_path):
    folders = []
    for number, text in enumerate(("one", "two", "two\n", "")):
        folder = tmp_path / str(number)
        folder.mkdir()
        if text:
            (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
        folders.append(folder)
    assert chat_template("auto", folders) == "two"
    assert chat_template("auto", folders[:2]) == "one"
    assert chat_template("auto", folders[3:]) is None
    assert chat_template("", folders) is None


def test_a_family_or_a_text_is_written(tmp_path):
    write_chat_template("mistral", [], tmp_path)
    assert own_template(tmp_path) == ChatSettings(template="mistral").text()
    write_chat_template(TEXT, [], tmp_path)
    assert own_template(tmp_path) == TEXT


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("chatmll", "did you mean 'chatml'"),
        ("exaone", "or a template's text"),
        ("{% for message in messages %}{{ message }}", "is no template: Unexpected end"),
        ("chatml", "the tokenizer has no token <|im_end|>"),
    ],
)
def test_a_template_that_cannot_be_is_refused(value, problem):
    with pytest.raises(SettingError, match=re.escape(problem)):
        check_chat_template(value, {"<|im_start|>"})


@pytest.mark.parametrize(
    "value", ["", "auto", "vicuna", TEXT, "{% generation %}{% endgeneration %}"]
)
def test_others_are_allowed(value):
    check_chat_template(value, set())

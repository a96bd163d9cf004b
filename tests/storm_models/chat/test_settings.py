"""Template, arguments and date: from the settings into the files, the spec and the key."""

from __future__ import annotations

import json

import pytest

from storm_exp import FileDigests, InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.chat.conversation import Conversation
from storm_models.chat.settings import TURN_TOKENS, ChatSettings, families
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec, check_template
from storm_models.sources.path import Path
from storm_models.testing import make_checkpoint

CHAT = Conversation([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("model")).directory


@pytest.fixture
def digests(tmp_path):
    return FileDigests(tmp_path / "digests.json")


def taken(folder, tmp_path, **chat) -> Checkpoint:
    component = Path(path=str(folder), chat=ChatSettings(**chat))
    made = component.run(make_stage(tmp_path))
    planned, facts = component.plan_spec(), made.spec()
    for name in ("has_chat_template", "chat_arguments", "chat_date"):
        assert getattr(planned, name) == getattr(facts, name), name
    return made


def test_a_model_keeps_its_own_template_and_says_how_it_is_used(folder, tmp_path):
    made = taken(folder, tmp_path)
    own, kept = Checkpoint(folder).chat(), made.chat()
    assert kept.text(CHAT) == own.text(CHAT)
    said = json.loads((made.directory / "chat.json").read_text())
    assert said == {"arguments": {"enable_thinking": False}, "date": "2024-07-26"}


def test_a_family_takes_the_place_of_the_models_own_template(folder, tmp_path):
    made = taken(folder, tmp_path, template="solar")
    assert made.chat().text(CHAT) == "### User:\nx\n\n### Assistant:\ny<|end|>\n\n"
    assert "### " not in Checkpoint(folder).chat().text(CHAT), "the model's folder stays as it is"


def test_a_family_whose_tokens_the_tokenizer_lacks_is_refused_at_plan_time(folder, tmp_path):
    component = Path(path=str(folder), chat=ChatSettings(template="chatml"))
    for refused in (component.plan_spec, lambda: component.run(make_stage(tmp_path))):
        with pytest.raises(SettingError, match=r"no token <\|im_\w+\|>.*solar, vicuna or zephyr"):
            refused()
    for family in sorted(set(families()) - set(TURN_TOKENS)):
        other = Path(path=str(folder), chat=ChatSettings(template=family))
        assert other.plan_spec().has_chat_template


def test_arguments_date_and_a_file_reach_the_text(folder, tmp_path):
    file = tmp_path / "mine.jinja"
    file.write_text("{{ strftime_now('%Y') }} {{ word }} {{ messages[0].content }}")
    made = taken(folder, tmp_path, template=str(file), arguments={"word": "ey"}, date="1999-01-01")
    assert made.chat().text(CHAT) == "1999 ey x"
    again = taken(made.directory, tmp_path / "again", arguments={"word": "o"})
    assert again.chat().text(CHAT) == "1999 o x", "what a folder says is kept where nothing is set"


def test_a_model_can_be_left_without_a_template(folder, tmp_path):
    made = taken(folder, tmp_path, template="none")
    assert not made.has_chat_template()
    with pytest.raises(InputError, match=r"no chat template.*chat\.template=chatml"):
        made.chat()


def test_the_key_covers_a_templates_text_and_not_its_place(folder, tmp_path, digests):
    first, second = tmp_path / "a.jinja", tmp_path / "b.jinja"
    first.write_text("{{ messages }}")
    second.write_text("{{ messages }}")

    def key(template: str) -> object:
        return Path(path=str(folder), chat=ChatSettings(template=template)).fingerprint(digests)

    assert key(str(first)) == key(str(second)) != key("chatml")
    assert key("chatml") != key("zephyr")
    second.write_text("{{ messages[0] }}")
    assert key(str(first)) != key(str(second))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": "chatlm"}, "chat.template='chatlm'.*did you mean 'chatml'"),
        ({"template": "nowhere.jinja"}, "chat.template='nowhere.jinja'.*there is no"),
        ({"date": "26 July"}, "chat.date='26 July': must be a date such as"),
        ({"date": "20240726"}, "must be a date such as 2024-07-26"),
        ({"arguments": {"tools": []}}, "chat.arguments.tools"),
        ({"arguments": {"date_string": "today"}}, "date_string='today': is set by chat.date"),
        ({"arguments": {"strftime_now": 1}}, "strftime_now=1: is set by chat.date"),
        ({"arguments": {"conversations": []}}, "conversations=.*is passed with every chat"),
        ({"arguments": {"continue_final_message": True}}, "final_message=True: is passed with"),
    ],
)
def test_settings_that_cannot_work_are_named(settings, message):
    with pytest.raises(SettingError, match=message):
        ChatSettings(**settings).text()


@pytest.mark.parametrize(
    "content",
    [
        '{"date": "today"}',
        '{"date": 3}',
        '{"arguments": []}',
        "[]",
        "{",
        '{"arguments":{"tools":1}}',
    ],
)
def test_a_damaged_record_is_named(folder, tmp_path, content):
    made = taken(folder, tmp_path)
    (made.directory / "chat.json").write_text(content)
    with pytest.raises(InputError, match=r"chat\.json"):
        made.spec()


def test_a_plan_says_what_to_set_where_a_template_is_missing():
    check_template(CheckpointSpec(), "nobody knows")
    with pytest.raises(InputError) as found:
        check_template(CheckpointSpec(has_chat_template=False), "chats are to be tokenised")
    assert "chat.template=chatml" in str(found.value)
    assert "base_model.chat.template=" in str(found.value)
    assert all(family in str(found.value) for family in families())

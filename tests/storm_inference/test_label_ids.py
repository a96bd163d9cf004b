import pytest

from storm_exp import SettingError
from storm_inference.label_ids import label_ids
from storm_inference.testing import toy_tokenizer
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer

CHAT = Conversation([{"role": "user", "content": "hi"}])


def test_answers_have_the_ids_of_their_characters():
    tokenizer = toy_tokenizer()
    ids = label_ids(ChatRenderer(tokenizer), CHAT, ["1", "5"], "education.answers")
    assert tokenizer.convert_ids_to_tokens(ids) == ["1", "5"]


def test_an_answer_of_two_tokens_is_an_error_that_names_it():
    with pytest.raises(SettingError, match=r"education.answers='10'.*not 2"):
        label_ids(ChatRenderer(toy_tokenizer()), CHAT, ["1", "10"], "education.answers")


def test_an_answer_that_melts_into_the_prompt_is_an_error():
    tokenizer = toy_tokenizer(further=("t\n7", "\n8"))
    with pytest.raises(SettingError, match="'7'"):
        label_ids(ChatRenderer(tokenizer), CHAT, ["1", "7"], "education.answers")
    with pytest.raises(SettingError, match="'8x': must not merge with"):
        label_ids(ChatRenderer(tokenizer), CHAT, ["1", "8x"], "education.answers")


def test_answers_that_the_tokenizer_does_not_know_are_an_error():
    with pytest.raises(SettingError, match="the same token as another label"):
        label_ids(ChatRenderer(toy_tokenizer()), CHAT, ["1", "é"], "education.answers")

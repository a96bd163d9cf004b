import pytest
from tokenizers import AddedToken

from storm_exp import SettingError
from storm_inference.label_ids import label_ids
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.testing import CHATML, make_byte_tokenizer

CHAT = Conversation([{"role": "user", "content": "hi"}])


def test_answers_have_the_ids_of_their_characters():
    tokenizer = make_byte_tokenizer()
    ids = label_ids(ChatRenderer(tokenizer), CHAT, ["1", "5"], "education.answers")
    assert tokenizer.convert_ids_to_tokens(ids) == ["1", "5"]


def test_an_answer_of_two_tokens_is_an_error_that_names_it():
    with pytest.raises(SettingError, match=r"education.answers='10'.*not 2"):
        label_ids(ChatRenderer(make_byte_tokenizer()), CHAT, ["1", "10"], "education.answers")


def test_a_label_that_merges_with_the_prompt_is_an_error():
    tokenizer = make_byte_tokenizer(template=CHATML)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("t\n7", "\n8")])
    with pytest.raises(SettingError, match="'7'"):
        label_ids(ChatRenderer(tokenizer), CHAT, ["1", "7"], "education.answers")
    with pytest.raises(SettingError, match="'8x': must not merge with"):
        label_ids(ChatRenderer(tokenizer), CHAT, ["1", "8x"], "education.answers")


def test_labels_unknown_to_the_tokenizer_are_an_error():
    tokenizer = make_byte_tokenizer()
    tokenizer.add_tokens("☃")
    tokenizer.unk_token = "☃"
    with pytest.raises(SettingError, match="the same token as another label"):
        label_ids(ChatRenderer(tokenizer), CHAT, ["1", "☃"], "education.answers")

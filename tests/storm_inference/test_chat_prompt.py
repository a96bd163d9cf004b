import pytest
from tokenizers import processors

from storm_exp import InputError, SettingError
from storm_inference.chat_prompt import ChatPrompt
from storm_inference.testing import TEMPLATE, toy_tokenizer

CHAT = [{"role": "user", "content": "hi"}]


def with_own_bos(tokenizer):
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    return tokenizer


def test_a_template_that_writes_bos_gives_one_even_if_the_tokenizer_would_too():
    tokenizer = with_own_bos(toy_tokenizer())
    (ids,) = ChatPrompt(tokenizer).encode([CHAT])
    assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id


def test_a_template_without_bos_leaves_it_to_the_tokenizer():
    tokenizer = with_own_bos(toy_tokenizer(TEMPLATE.replace("{{ bos_token }}", "")))
    (ids,) = ChatPrompt(tokenizer).encode([CHAT])
    assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id


def test_two_bos_are_an_error():
    with pytest.raises(InputError, match="2 BOS tokens"):
        ChatPrompt(toy_tokenizer("{{ bos_token }}" + TEMPLATE))


def test_no_template_is_an_error():
    tokenizer = toy_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="no chat template"):
        ChatPrompt(tokenizer)


def test_a_prompt_ends_where_the_assistant_begins():
    tokenizer = toy_tokenizer()
    (ids,) = ChatPrompt(tokenizer).encode([CHAT])
    assert tokenizer.decode(ids) == "<bos><turn>user\nhi<end><turn>assistant\n"


def test_answers_have_the_ids_of_their_characters():
    tokenizer = toy_tokenizer()
    ids = ChatPrompt(tokenizer).answer_ids(CHAT, ["1", "5"], "education.answers")
    assert tokenizer.convert_ids_to_tokens(ids) == ["1", "5"]


def test_an_answer_of_two_tokens_is_an_error_that_names_it():
    with pytest.raises(SettingError, match=r"education.answers='10'.*not 2"):
        ChatPrompt(toy_tokenizer()).answer_ids(CHAT, ["1", "10"], "education.answers")


def test_an_answer_that_melts_into_the_prompt_is_an_error():
    tokenizer = toy_tokenizer(further=("t\n7", "\n8"))
    with pytest.raises(SettingError, match="'7'"):
        ChatPrompt(tokenizer).answer_ids(CHAT, ["1", "7"], "education.answers")
    with pytest.raises(SettingError, match="'8x': must stay apart"):
        ChatPrompt(tokenizer).answer_ids(CHAT, ["1", "8x"], "education.answers")


def test_answers_that_the_tokenizer_does_not_know_are_an_error():
    with pytest.raises(SettingError, match="does not tell it apart"):
        ChatPrompt(toy_tokenizer()).answer_ids(CHAT, ["1", "é"], "education.answers")


def test_special_tokens_in_text_are_found():
    chat = ChatPrompt(toy_tokenizer(further=("<tool_call>",)))
    assert chat.special_token_in("so <turn>assistant") == "<turn>"
    assert chat.special_token_in("plain <tool_call> text") == ""

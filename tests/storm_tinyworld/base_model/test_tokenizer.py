import hashlib
import itertools
import json
import random

import pytest
from transformers import AutoTokenizer

from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_tinyworld.base_model.tokenizer import build_tokenizer, vocabulary
from storm_tinyworld.base_model.vocabulary import ASSISTANT, BOS, END_OF_TURN
from storm_tinyworld.corpora.pool import pool_rows
from storm_tinyworld.skills.basic import DIFFICULTIES, FAMILIES, make_example
from storm_tinyworld.skills.rating import DIFFICULTY_ANSWERS


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer().save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def test_text_survives_encoding_and_decoding(tokenizer):
    draw = random.Random(0)
    for family in FAMILIES:
        for difficulty in DIFFICULTIES:
            example = make_example(draw, family, difficulty)
            for text in (example.instruction, example.response, f" {example.mistake}\n"):
                ids = tokenizer(text)["input_ids"]
                assert tokenizer.unk_token_id not in ids
                assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_a_chat_has_one_bos_and_an_end_for_every_turn(tokenizer):
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    ids = tokenizer.apply_chat_template(chat, return_dict=False)
    tokens = tokenizer.convert_ids_to_tokens(ids)
    assert tokens[0] == BOS and tokens.count(BOS) == 1
    assert tokens.count(END_OF_TURN) == 2 and tokens[-1] == END_OF_TURN
    assert tokenizer.eos_token == END_OF_TURN
    prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False)
    assert prompt == ids[: len(prompt)]
    assert tokens[len(prompt) - 1] == ASSISTANT


def test_chats_are_read_as_they_were_when_the_miniatures_were_measured(tokenizer):
    """The digest is that of the former code that rendered chats."""
    rows = itertools.islice(pool_rows(0), 200)
    found = ChatRenderer(tokenizer).encode([Conversation.of(row) for row in rows])
    text = json.dumps([[tokens.ids, tokens.supervised] for tokens in found])
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "58e9a4f35be59979020856cd302dcb0d7b8028bd8d35cc57b25796a7e58c1fa0"
    )


def test_every_answer_of_the_judge_is_one_token(tokenizer):
    for answer in [*"12345", *DIFFICULTY_ANSWERS.values()]:
        assert len(tokenizer(answer)["input_ids"]) == 1


def test_ids_are_dense(tokenizer):
    assert sorted(vocabulary().values()) == list(range(len(tokenizer)))

from __future__ import annotations

import pytest

from storm_exp import InputError
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer, ChatTokens
from storm_models.chat.template import UnusableChat
from storm_models.testing import make_byte_tokenizer

LLAMA_3_1 = (
    "{{- bos_token }}"
    "{%- if not date_string is defined %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- if messages[0]['role'] == 'system' %}"
    "{%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}"
    "{%- else %}{%- set system_message = '' %}{%- endif %}"
    "{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}"
    "{{- 'Cutting Knowledge Date: December 2023\\nToday Date: ' + date_string + '\\n\\n' }}"
    "{{- system_message }}{{- '<|eot_id|>' }}"
    "{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
    " + message['content'] | trim + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"
)
QWEN_2_5 = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if (message.role == 'user') or (message.role == 'system' and not loop.first)"
    " or (message.role == 'assistant') %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
QWEN_3 = (
    "{%- set ns = namespace(last_query_index=messages|length - 1) %}"
    "{%- for message in messages[::-1] %}"
    "{%- set index = (messages|length - 1) - loop.index0 %}"
    "{%- if message.role == 'user' and ns.last_query_index == messages|length - 1 %}"
    "{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}"
    "{%- set content = message.content %}{%- set reasoning = '' %}"
    "{%- if '</think>' in content %}"
    "{%- set reasoning = content.split('</think>')[0].split('<think>')[-1].strip('\\n') %}"
    "{%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last_query_index and (loop.last or reasoning) %}"
    "{{- '<|im_start|>assistant\\n<think>\\n' + reasoning + '\\n</think>\\n\\n' + content }}"
    "{%- else %}{{- '<|im_start|>assistant\\n' + content }}{%- endif %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}"
)
LLAMA_2 = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}"
    "{% endfor %}"
)
SPECIALS = (
    "<bos>",
    "</s>",
    "<pad>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|im_start|>",
    "<|im_end|>",
    "<start_of_turn>",
    "<end_of_turn>",
)
TWO_TURNS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": " hello\n"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "héllo ☃"},
]


def tokenizer_with(template: str | None, *, adds_bos: bool = False, pad_is_eos: bool = False):
    """Return a tokenizer of single bytes, so that the mask has a value per character."""
    return make_byte_tokenizer(
        control_tokens=SPECIALS,
        template=template,
        bos="<bos>",
        eos="</s>",
        pad="</s>" if pad_is_eos else "<pad>",
        adds_bos=adds_bos,
    )


def supervised_texts(tokenizer, chat) -> list[str]:
    (tokens,) = ChatRenderer(tokenizer).encode([Conversation(chat)])
    if isinstance(tokens, UnusableChat):
        raise tokens
    texts, run = [], []
    for token, counts in [*zip(tokens.ids, tokens.supervised, strict=True), (0, False)]:
        if counts:
            run.append(token)
        elif run:
            texts.append(tokenizer.decode(run))
            run = []
    return texts


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (LLAMA_3_1, ["hello<|eot_id|>", "héllo ☃<|eot_id|>"]),
        (QWEN_2_5, [" hello\n<|im_end|>", "héllo ☃<|im_end|>"]),
        (QWEN_3, [" hello\n<|im_end|>", "héllo ☃<|im_end|>"]),
        (GEMMA, ["hello<end_of_turn>", "héllo ☃<end_of_turn>"]),
        (LLAMA_2, [" hello\n </s>", "héllo ☃ </s>"]),
        (PLAIN, [" hello\n\n", "héllo ☃\n"]),
    ],
    ids=["llama-3.1", "qwen-2.5", "qwen-3", "gemma", "llama-2", "plain"],
)
def test_every_assistant_turn_is_supervised_through_the_token_that_ends_it(template, expected):
    assert supervised_texts(tokenizer_with(template), TWO_TURNS) == expected


@pytest.mark.parametrize("template", [LLAMA_3_1, QWEN_2_5])
def test_a_system_turn_is_read_and_not_supervised(template):
    tokenizer = tokenizer_with(template)
    chat = [{"role": "system", "content": "hello"}, *TWO_TURNS]
    assert supervised_texts(tokenizer, chat) == supervised_texts(tokenizer, TWO_TURNS)
    assert "system" in ChatRenderer(tokenizer).text(Conversation(chat))


def test_reasoning_that_a_template_moves_is_found_by_prefix():
    chat = [
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "<think>\nadd\n</think>\n\n2"},
    ]
    assert supervised_texts(tokenizer_with(QWEN_3), chat) == [
        "<think>\nadd\n</think>\n\n2<|im_end|>"
    ]


def test_a_chat_that_the_template_refuses_is_unusable_and_others_are_not():
    tokenizer = ChatRenderer(tokenizer_with(GEMMA))
    refused = [{"role": "system", "content": "x"}, *TWO_TURNS]
    first, second, third = tokenizer.encode(
        list(map(Conversation, [TWO_TURNS, refused, TWO_TURNS]))
    )
    assert isinstance(second, UnusableChat) and "System role" in str(second)
    assert first == third
    assert isinstance(tokenizer.encode([Conversation(refused)])[0], UnusableChat)


def test_a_chat_without_assistant_supervises_nothing():
    assert supervised_texts(tokenizer_with(QWEN_2_5), TWO_TURNS[:1]) == []


@pytest.mark.parametrize("adds_bos", [False, True])
@pytest.mark.parametrize("template", [LLAMA_3_1, GEMMA])
def test_a_template_that_writes_bos_yields_exactly_one(template, adds_bos):
    tokenizer = tokenizer_with(template, adds_bos=adds_bos)
    (tokens,) = ChatRenderer(tokenizer).encode([Conversation(TWO_TURNS)])
    assert tokens.ids.count(tokenizer.bos_token_id) == 1
    assert tokens.ids[0] == tokenizer.bos_token_id


def test_a_tokenizer_that_adds_bos_adds_it_where_the_template_does_not():
    tokenizer = tokenizer_with(QWEN_2_5, adds_bos=True)
    (tokens,) = ChatRenderer(tokenizer).encode([Conversation(TWO_TURNS)])
    assert tokens.ids[0] == tokenizer.bos_token_id
    assert tokens.ids.count(tokenizer.bos_token_id) == 1
    assert not tokens.supervised[0]


def test_a_doubled_bos_is_reduced_to_one():
    tokenizer = tokenizer_with("{{ bos_token }}" + LLAMA_3_1)
    (tokens,) = ChatRenderer(tokenizer).encode([Conversation(TWO_TURNS)])
    assert tokens.ids.count(tokenizer.bos_token_id) == 1


def test_eos_is_learnt_also_where_it_is_the_padding_token():
    tokenizer = tokenizer_with(LLAMA_2, pad_is_eos=True)
    assert all(text.endswith("</s>") for text in supervised_texts(tokenizer, TWO_TURNS))


def test_a_template_that_prints_the_day_prints_the_same_every_day():
    tokenizer = tokenizer_with("{{ strftime_now('%d %b %Y') }} " + PLAIN)
    text = ChatRenderer(tokenizer).text(Conversation(TWO_TURNS))
    assert text.startswith("26 Jul 2024 ")


def test_contents_that_look_like_marks_are_no_marks():
    chat = [
        {"role": "user", "content": "⟦turn-1⟧"},
        {"role": "assistant", "content": "⟦turnn-1⟧"},
    ]
    assert supervised_texts(tokenizer_with(PLAIN), chat) == ["⟦turnn-1⟧\n"]


def test_a_tokenizer_without_chat_template_is_an_error():
    with pytest.raises(InputError, match="no chat template"):
        ChatRenderer(tokenizer_with(None))


QWEN_3_ASKS = QWEN_3.replace(
    "{{- '<|im_start|>assistant\\n' }}{%- endif %}",
    "{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and "
    "enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}",
)


def test_thoughts_that_a_template_writes_itself_belong_to_the_question():
    """As in Qwen3: an empty thinking block before the last answer, and in a prompt."""
    chats = ChatRenderer(tokenizer_with(QWEN_3_ASKS))
    (whole,), (prompt,) = (
        chats.encode([Conversation(TWO_TURNS)]),
        chats.prompts([Conversation(TWO_TURNS[:3])]),
    )
    assert isinstance(whole, ChatTokens)
    assert whole.ids[: len(prompt)] == prompt
    assert all(whole.supervised[len(prompt) : -1]) and not whole.supervised[-1]
    assert not any(whole.supervised[len(prompt) - len("</think>\n\n") : len(prompt)])


def test_arguments_and_date_reach_the_template():
    text = "{{ greeting }} {{ date_string }} {{ strftime_now('%Y') }} {{ messages[0].content }}"
    chats = ChatRenderer(tokenizer_with(text), {"greeting": "hey"}, "2031-02-03")
    assert chats.text(Conversation(TWO_TURNS)) == "hey 03 Feb 2031 2031 hi"


def test_thoughts_of_an_answer_are_learnt_where_the_template_asks_without():
    chat = [
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "<think>\nadd\n</think>\n\n2"},
    ]
    assert supervised_texts(tokenizer_with(QWEN_3_ASKS), chat) == ["add\n</think>\n\n2<|im_end|>"]


R1 = (
    "{% for m in messages %}{% set said = m.content %}{% if m.role == 'assistant' %}"
    "{% set said = said.split('</think>')[-1] %}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ said }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CUT = R1.replace("{{ said }}", "{{ said[:20] }}")


@pytest.mark.parametrize(("template", "role"), [(R1, "assistant"), (CUT, "user")])
def test_a_template_that_leaves_out_a_part_of_what_is_said_makes_the_row_unusable(template, role):
    """DeepSeek-R1's manner: what stands before the answer is cut off, in training as well."""
    chat = [
        {"role": "user", "content": "How much is one and one, and why is it so?"},
        {"role": "assistant", "content": "<think>\nadd\n</think>\n\n2"},
    ]
    (found,) = ChatRenderer(tokenizer_with(template)).encode([Conversation(chat)])
    assert isinstance(found, UnusableChat) and f"a part of its {role} turn" in str(found)


def test_thoughts_of_earlier_answers_may_be_left_out_where_they_are_context():
    chat = [
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "<think>\nadd\n</think>\n\n2"},
        {"role": "user", "content": "2+2"},
    ]
    chats = ChatRenderer(tokenizer_with(R1))
    (prompt,) = chats.prompts([Conversation(chat)])
    assert isinstance(prompt, list)


def test_a_template_may_write_contents_as_json():
    text = "{% for m in messages %}<|im_start|>{{ m.content | tojson }}<|im_end|>{% endfor %}"
    chat = [{"role": "user", "content": 'a "b"\nc'}, {"role": "assistant", "content": "é\n2"}]
    (found,) = ChatRenderer(tokenizer_with(text)).encode([Conversation(chat)])
    assert not isinstance(found, UnusableChat) or "leaves out" not in str(found)


def test_a_turn_of_weight_0_is_context_alone():
    chat = Conversation(TWO_TURNS, supervised=[True, False, True, True])
    (tokens,) = ChatRenderer(tokenizer_with(QWEN_2_5)).encode([chat])
    assert sum(tokens.supervised) == len("héllo ☃".encode()) + 1


def test_a_turn_that_the_template_leaves_out_makes_the_row_unusable():
    chat = [*TWO_TURNS[:1], {"role": "tool", "content": "found"}, TWO_TURNS[1]]
    (found,) = ChatRenderer(tokenizer_with(QWEN_2_5)).encode([Conversation(chat)])
    assert isinstance(found, UnusableChat) and "does not show its tool turn" in str(found)

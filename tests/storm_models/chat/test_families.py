"""The project's template families, compared with the templates of their models."""

from __future__ import annotations

import pytest

from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer, ChatTokens
from storm_models.chat.settings import ChatSettings, families
from storm_models.chat.template import UnusableChat
from storm_models.testing import make_byte_tokenizer

CONTROLS = (
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)
CHAT = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "three"},
    {"role": "assistant", "content": "four"},
]
SYSTEM = {"role": "system", "content": "be brief"}
LOOKED_UP = [
    {"role": "user", "content": "how warm?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"type": "function", "function": {"name": "look", "arguments": {"at": "the sky"}}}
        ],
    },
    {"role": "tool", "content": "twelve degrees"},
    {"role": "assistant", "content": "Twelve."},
]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]


def renderer(family: str) -> ChatRenderer:
    """A renderer with one of the families, over a tokenizer of single bytes."""
    text = ChatSettings(template=family).text()
    names = {"bos": "<s>", "eos": "</s>", "pad": "</s>"}
    return ChatRenderer(make_byte_tokenizer(control_tokens=CONTROLS, template=text, **names))


def decoded(chats: ChatRenderer, ids: list[int]) -> str:
    return chats._tokenizer.decode(ids)


def learnt(chats: ChatRenderer, chat: Conversation) -> list[str]:
    """Return the supervised texts, one per run of tokens."""
    (found,) = chats.encode([chat])
    assert isinstance(found, ChatTokens), found
    runs, run = [], []
    for token, own in [*zip(found.ids, found.supervised, strict=True), (0, False)]:
        if own:
            run.append(token)
        elif run:
            runs.append(decoded(chats, run))
            run = []
    return runs


@pytest.mark.parametrize(
    ("family", "rendered", "end"),
    [
        (
            "chatml",
            "<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n"
            "<|im_start|>user\nthree<|im_end|>\n<|im_start|>assistant\n",
            "<|im_end|>",
        ),
        (
            "llama3",
            "<s><|start_header_id|>user<|end_header_id|>\n\none<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\ntwo<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nthree<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n",
            "<|eot_id|>",
        ),
        ("llama2", "<s>[INST] one [/INST] two </s><s>[INST] three [/INST]", " </s>"),
        ("mistral", "<s>[INST] one [/INST] two</s>[INST] three [/INST]", "</s>"),
        (
            "zephyr",
            "<|user|>\none</s>\n<|assistant|>\ntwo</s>\n<|user|>\nthree</s>\n<|assistant|>\n",
            "</s>",
        ),
        (
            "solar",
            "### User:\none\n\n### Assistant:\ntwo</s>\n\n### User:\nthree\n\n### Assistant:\n",
            "</s>",
        ),
        (
            "gemma",
            "<s><start_of_turn>user\none<end_of_turn>\n<start_of_turn>model\ntwo<end_of_turn>\n"
            "<start_of_turn>user\nthree<end_of_turn>\n<start_of_turn>model\n",
            "<end_of_turn>",
        ),
        (
            "phi3",
            "<|user|>\none<|end|>\n<|assistant|>\ntwo<|end|>\n<|user|>\nthree<|end|>\n"
            "<|assistant|>\n",
            "<|end|>",
        ),
        (
            "alpaca",
            "<s>### Instruction:\none\n\n### Response:\ntwo</s>\n\n### Instruction:\nthree\n\n"
            "### Response:\n",
            "</s>",
        ),
        ("vicuna", "<s>USER: one ASSISTANT: two</s>USER: three ASSISTANT:", "</s>"),
    ],
)
def test_a_family_writes_turns_in_order_and_every_answer_with_its_end_is_learnt(
    family, rendered, end
):
    chats = renderer(family)
    assert chats.text(Conversation(CHAT[:3]), ask=True) == rendered
    assert learnt(chats, Conversation(CHAT)) == [f"two{end}", f"four{end}"]
    assert chats.ends == [chats.controls.tokens[end.strip()]]


@pytest.mark.parametrize("family", families())
def test_a_family_asks_as_it_learns(family):
    """The prompt is the beginning of the text that is trained on."""
    chats = renderer(family)
    (prompt,) = chats.prompts([Conversation(CHAT[:3])])
    (whole,) = chats.encode([Conversation(CHAT)])
    assert whole.ids[: len(prompt)] == prompt
    assert not any(whole.supervised[: len(prompt)][-3:])


@pytest.mark.parametrize("family", families())
def test_a_family_shows_what_the_system_says(family):
    chats = renderer(family)
    chat = Conversation([SYSTEM, *CHAT])
    assert "be brief" in chats.text(chat)
    assert learnt(chats, chat) == learnt(chats, Conversation(CHAT))


@pytest.mark.parametrize("family", ["chatml", "llama3"])
def test_a_family_that_shows_tools_teaches_the_call_and_not_its_result(family):
    chats = renderer(family)
    first, second = learnt(chats, Conversation(LOOKED_UP, TOOLS))
    end = decoded(chats, chats.ends)
    assert first.startswith("Let me look.") and '"name": "look"' in first and "sky" in first
    assert first.endswith(end) and second == f"Twelve.{end}"
    bare = [LOOKED_UP[0], {**LOOKED_UP[1], "content": ""}, *LOOKED_UP[2:]]
    called, _ = learnt(chats, Conversation(bare, TOOLS))
    assert called == first.removeprefix("Let me look.\n")


@pytest.mark.parametrize("family", sorted(set(families()) - {"chatml", "llama3"}))
def test_a_family_that_cannot_show_calls_or_tools_rejects_the_row_with_that_reason(family):
    chats = renderer(family)
    calls = [LOOKED_UP[0], LOOKED_UP[1]]
    found = chats.encode([Conversation(calls), Conversation(CHAT, TOOLS), Conversation(CHAT)])
    assert isinstance(found[0], UnusableChat) and "tool calls" in str(found[0])
    assert isinstance(found[1], UnusableChat) and "its tools" in str(found[1])
    assert isinstance(found[2], ChatTokens)

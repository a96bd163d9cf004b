"""The characters and the few special tokens of the miniature world."""

from __future__ import annotations

BOS = "<|begin|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
END_OF_TURN = "<|end|>"
PAD = "<|pad|>"
UNKNOWN = "<|unknown|>"

SPECIAL_TOKENS = (PAD, UNKNOWN, BOS, SYSTEM, USER, ASSISTANT, END_OF_TURN)

PHRASES = (
    "<tool_call>",
    "</tool_call>",
    "<tools>",
    "</tools>",
    '{"tool_name": "',
    '", "tool_arguments": {"',
)
"""The syntax of tools, one token each. They are not special tokens, so decoding keeps them."""

CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""ChatML without line breaks: one token opens a turn, one ends it, after a single BOS."""

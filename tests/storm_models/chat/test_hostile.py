"""Malicious or faulty templates and contents."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storm_exp import InputError
from storm_models.chat import template as templates
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer, ChatTokens
from storm_models.chat.template import Chat, Template, UnusableChat
from storm_models.testing import make_byte_tokenizer

ASK = Chat([{"role": "user", "content": "x"}])


def render(text: str, chat: Chat = ASK) -> str | UnusableChat:
    return Template(text, {}, "2024-07-26").render([chat])[0]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(templates, "SECONDS", 0.5)
    templates._sandbox.cache_clear()
    yield
    templates._sandbox.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
        "{% for m in messages %}{{ (7 + m.content | length) ** (9 ** 9) }}{% endfor %}",
    ],
    ids=["loops", "folded power", "power"],
)
def test_a_template_that_never_ends_is_ended_and_the_next_one_renders(text, impatient):
    started = time.monotonic()
    with pytest.raises(InputError, match=r"more than 0\.5 seconds"):
        render(text)
    assert time.monotonic() - started < 60
    assert render("{{ messages[0].content }}") == "x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% set ns = namespace(x='ab') %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}"
         "{% endfor %}", "memory"),
        ("{{ '%99999999999d' % 1 }}", "memory|refuses"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "refuses"),
        ("{% include '/etc/passwd' %}", "refuses"),
        ("{{ messages.append(1) }}", "refuses"),
        ("{{ range(10**9) }}", "refuses"),
        ("{{ 1 / 0 }}", "refuses"),
        ("{{ messages[0].nothing.at_all }}", "refuses"),
        ("{% if %}", "refuses"),
        ("{{ raise_exception('no') }}", "no"),
    ],
)  # fmt: skip
def test_what_a_template_may_not_do_makes_the_chat_unusable(text, reason):
    found = render(text)
    assert isinstance(found, UnusableChat)
    assert any(word in str(found) for word in reason.split("|")), found


def test_a_template_renders_the_same_every_time():
    text = "{{ [1, 2, 3, 4, 5, 6, 7, 8, 9] | random }} {{ lipsum(n=1) }} {{ strftime_now('%d') }}"
    assert render(text) == render(text)


@pytest.mark.parametrize("turns", [2, 64, 512])
def test_marking_a_chat_takes_three_renderings_however_many_turns_it_has(turns):
    chats = ChatRenderer(make_byte_tokenizer())
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": f"say {i}"} for i in range(turns)]
    (found,) = chats.encode([Conversation([*messages, {"role": "user", "content": "x"}])])
    assert isinstance(found, ChatTokens)
    ends = sum(
        t == chats.ends[0] for t, own in zip(found.ids, found.supervised, strict=True) if own
    )
    assert ends == turns // 2
    assert chats.template.renderings - _PROBES <= 3


_PROBES = 2
"""Renderings that `ends` takes."""


CONTROLS = ("<|end|>", "<|user|>", "<|assistant|>", "<|pad|>", "<|system|>", "<|tool|>")
PIECES = st.lists(
    st.sampled_from([*CONTROLS, "<|end", "|>", "<", "|", "end", "user", " ", "\n", "a", "é", "☃"])
    | st.text(max_size=3),
    max_size=6,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(question=PIECES, answer=PIECES)
def test_contents_never_become_control_tokens(question, answer):
    chats = ChatRenderer(make_byte_tokenizer())
    chat = Conversation(
        [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    )
    whole, (asked,) = chats.encode([chat])[0], chats.prompts([chat.first(1)])
    forged = [token for token in CONTROLS if token in question or token in answer]
    if forged:
        assert isinstance(whole, UnusableChat) and "control token" in str(whole)
    ids = chats.controls.ids
    if isinstance(whole, ChatTokens):
        assert [t for t in whole.ids if t in ids] == [
            chats.controls.tokens[t] for t in ("<|user|>", "<|end|>", "<|assistant|>", "<|end|>")
        ]
    if isinstance(asked, list):
        assert [t for t in asked if t in ids] == [
            chats.controls.tokens[t] for t in ("<|user|>", "<|end|>", "<|assistant|>")
        ]


@pytest.mark.parametrize(
    "template",
    [
        # What the template does to contents makes the token, not what they say.
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content | replace('*', '') }}<|end|>"
        "{% endfor %}",
        # The template's own words complete it.
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}|><|end|>{% endfor %}",
    ],
    ids=["removed characters", "completed"],
)
def test_contents_that_a_template_turns_into_a_control_token_are_refused(template):
    tokenizer = make_byte_tokenizer()
    tokenizer.chat_template = template
    forged = "<*|end|>" if "replace" in template else "x<|end"
    chat = [{"role": "user", "content": forged}, {"role": "assistant", "content": "y"}]
    (found,) = ChatRenderer(tokenizer).encode([Conversation(chat)])
    reason = "changes a part" if "replace" in template else "control tokens"
    assert isinstance(found, UnusableChat) and reason in str(found)


def test_a_control_token_in_a_call_or_a_tool_is_refused_too():
    chats = ChatRenderer(make_byte_tokenizer())
    call = {"type": "function", "function": {"name": "look", "arguments": {"at": ["<|end|>"]}}}
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    called = [turns[0], {**turns[1], "tool_calls": [call]}]
    for chat in (Conversation(called), Conversation(turns, [call])):
        (found,) = chats.encode([chat])
        assert isinstance(found, UnusableChat) and "<|end|>" in str(found)

"""Twenty conversations with which a template's Go translation is compared with the original."""

from __future__ import annotations

from typing import Any

from storm_models.chat.conversation import Conversation

_TURNS = [
    ("What is the capital of France?", "Paris."),
    ("Count to 3:\n1, 2", "1, 2, 3"),
    ('Quote "this" & <that> with a \\ and {{ braces }}', "`{% raw %}` it is"),
    ("汉字 🙂 é", "ok 🚀"),
    ("def f(x):\n    return x\n# end", "def g(): ..."),
]
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a city, such as Zürich",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {}}},
]


def plain_chats() -> list[Conversation]:
    """Return fourteen chats of questions and answers, with and without a system message."""
    chats: list[Conversation] = []
    for system in ("", "You are brief.", "Zwei\nZeilen"):
        for count in (1, 2, 3, 5) if system else (1, 1, 1, 2, 4, 5):
            first = len(chats) % len(_TURNS)
            turns = [_TURNS[(first + turn) % len(_TURNS)] for turn in range(count)]
            chats.append(Conversation(_messages(system, turns)))
    return chats


def tool_chats() -> list[Conversation]:
    """Return six chats with tools: offered, called once and twice, with results and answers."""
    weather = _call("get_weather", {"city": "Zürich", "days": 2})
    now = _call("now", {})
    question: dict[str, Any] = {"role": "user", "content": "How is it?"}
    result = {"role": "tool", "name": "get_weather", "content": '{"degrees": 21}'}
    called = {"role": "assistant", "content": "", "tool_calls": [weather]}
    both = {**called, "tool_calls": [weather, now]}
    answer = {"role": "assistant", "content": "Fine, 21 degrees."}
    system = {"role": "system", "content": "You are brief."}
    return [
        Conversation([question], _TOOLS[:1]),
        Conversation([system, question], _TOOLS),
        Conversation([question, called, result], _TOOLS),
        Conversation([question, both, result, {**result, "content": "noon"}], _TOOLS),
        Conversation([system, question, called, result, answer, question], _TOOLS),
        Conversation([question, {**called, "content": "Let me see."}, result], _TOOLS[:1]),
    ]


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def _messages(system: str, turns: list[tuple[str, str]]) -> list[dict[str, Any]]:
    messages = [{"role": "system", "content": system}] if system else []
    for question, answer in turns:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": answer})
    return messages[:-1]

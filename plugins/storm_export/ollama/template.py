"""Translation of a model's chat template to Go, compared with the original."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storm_exp import InputError
from storm_export.ollama.chats import plain_chats, tool_chats
from storm_export.ollama.go_form import go_form, go_values
from storm_export.ollama.go_template import GoTemplate
from storm_export.ollama.transitions import Transitions, learn, normalised
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.chat.template import UnusableChat


def go_chat_template(renderer: ChatRenderer, bos: str, first: str) -> tuple[str, list[str]]:
    """Return the Go template, and remarks on differences between the two.

    `bos` is the token that the tokenizer adds to a text, which the Go template leaves out; `first`
    is a space that it inserts, which the Go template writes. Raises InputError for a template that
    cannot be translated: the text between two items depends on more than their kinds.
    """

    def render(chat: Conversation) -> str:
        text = renderer.text(chat, ask=True)
        return first + text.removeprefix(bos)

    transitions, remarks = learn(render), []
    if transitions.calls_tools and _first_difference(transitions, render, tool_chats()):
        plain = {
            pair: text
            for pair, text in transitions.table.items()
            if not {"tool", "name", "arguments", "result"} & set(pair)
        }
        transitions = Transitions(plain, calls_tools=False)
    if transitions.calls_tools:
        remarks.append("tools and calls are written as JSON without spaces, as Go writes JSON")
    elif _offers_tools(render):
        remarks.append("the Go template does not support tools")
    difference = _first_difference(transitions, render, plain_chats())
    if difference is not None:
        raise InputError(
            f"the chat template cannot be translated to Go: {difference[0]!r} would be written "
            f"instead of {difference[1]!r}"
        )
    spaced = Conversation([{"role": "user", "content": "  spaced  "}])
    if "  spaced  " not in render(spaced):
        remarks.append("spaces around messages are kept: Go has no `trim`")
    return go_form(transitions), remarks


def _first_difference(
    transitions: Transitions,
    render: Callable[[Conversation], str],
    chats: Sequence[Conversation],
) -> tuple[str, str] | None:
    """Return the texts of both templates for the first chat in which they differ."""
    template = GoTemplate(go_form(transitions))
    for chat in chats:
        try:
            expected = render(chat)
        except UnusableChat:
            continue
        text = template.render(go_values(chat))
        if text != expected and normalised(text) != normalised(expected):
            return text, expected
    return None


def _offers_tools(render: Callable[[Conversation], str]) -> bool:
    """Return whether the template writes the tools of a chat."""
    chat = tool_chats()[0]
    try:
        return render(chat) != render(Conversation(chat.messages))
    except UnusableChat:
        return False

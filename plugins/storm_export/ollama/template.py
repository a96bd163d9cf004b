"""The chat template of a model in Go's form, tried before it is given away."""

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
    """Return a template in Go's form, and remarks on what it writes otherwise.

    `bos` is what the tokenizer writes by itself before a text, which the form leaves out; `first`
    is what it puts before it, which the form writes. Raises InputError for a template that has no
    such form: what it writes does not follow from what stands side by side.
    """

    def render(chat: Conversation) -> str:
        text = renderer.text(chat, ask=True)
        return first + text.removeprefix(bos)

    found, remarks = learn(render), []
    if found.calls_tools:
        different = _different(found, render, tool_chats())
        if different is not None:
            plain = {
                pair: text
                for pair, text in found.table.items()
                if not {"tool", "name", "arguments", "result"} & set(pair)
            }
            found = Transitions(plain, calls_tools=False)
    if found.calls_tools:
        remarks.append("tools and calls are written as JSON without spaces, as Go does it")
    elif _offers_tools(render):
        remarks.append("the template's form in Go knows no tools")
    different = _different(found, render, plain_chats())
    if different is not None:
        raise InputError(
            f"the chat template has no form in Go: of {different[0]!r} it makes {different[1]!r}"
        )
    spaced = Conversation([{"role": "user", "content": "  spaced  "}])
    if "  spaced  " not in render(spaced):
        remarks.append("spaces around what is said stay: Go has no `trim`")
    return go_form(found), remarks


def _different(
    found: Transitions, render: Callable[[Conversation], str], chats: Sequence[Conversation]
) -> tuple[str, str] | None:
    """Return what the form and the template make of the first chat in which they differ."""
    template = GoTemplate(go_form(found))
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
    """Return whether a template writes down the tools that it is given."""
    chat = tool_chats()[0]
    try:
        return render(chat) != render(Conversation(chat.messages))
    except UnusableChat:
        return False

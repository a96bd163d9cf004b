"""Prompts rendered by a chat template, and control tokens in prompts that no template rendered."""

from __future__ import annotations

from storm_exp import InputError
from storm_models.chat.control_tokens import ControlTokens
from storm_models.chat.conversation import Conversation
from storm_models.chat.renderer import ChatRenderer
from storm_models.chat.template import UnusableChat


class ChatPrompts:
    """Renders the prompts of one model, and remembers them to tell them from other texts.

    In a rendered prompt control tokens are the template's; in any other text they are shielded, so
    that they are encoded as text.
    """

    def __init__(self, renderer: ChatRenderer | None, controls: ControlTokens) -> None:
        """Without a renderer, nothing can be rendered."""
        self._renderer, self._controls = renderer, controls
        self._rendered: dict[int, set[str]] = {}
        self.remarks: set[str] = set()
        """Remarks on how prompts were rendered."""

    def render(self, messages: list[dict[str, str]], *, ask: bool) -> str:
        """Return a chat as text, as every other stage renders it; raises InputError.

        Without `ask` the text goes on through the last message, which begins the answer. A
        benchmark's question is asked even if it holds a control token, which is encoded as text.
        Where the template does not support a system message (Gemma's), it opens the question.
        """
        assert self._renderer is not None, "the plan refuses models without a chat template"
        shielded = [
            {**message, "content": self._controls.shield(message["content"])}
            for message in messages
        ]
        answer = "" if ask else shielded.pop()["content"]
        text = self._prompt(self._renderer, shielded) + answer
        self.note(text)
        return text

    def _prompt(self, renderer: ChatRenderer, messages: list[dict[str, str]]) -> str:
        system = messages[0] if messages and messages[0]["role"] == "system" else None
        try:
            text = renderer.text(Conversation(messages), ask=True)
            if system is None or len(messages) < 2 or system["content"].strip() in text:
                return text
        except UnusableChat as reason:
            if system is None or len(messages) < 2:
                raise InputError(f"a question cannot be asked: {reason}") from reason
        assert system is not None
        self.remarks.add(
            "the system message opens the question: the chat template supports no system message"
        )
        question = f"{system['content']}\n\n{messages[1]['content']}"
        return self._prompt(renderer, [{**messages[1], "content": question}, *messages[2:]])

    def note(self, text: str) -> None:
        """Remember a prompt that a template rendered."""
        self._rendered.setdefault(len(text), set()).add(text)

    def was_rendered(self, text: str) -> bool:
        """Return whether a text is a remembered prompt."""
        return text in self._rendered.get(len(text), ())

    def shield(self, text: str) -> str:
        """Return a text whose control tokens are shielded, except in a rendered prompt."""
        for length in sorted(self._rendered, reverse=True):
            if text[:length] in self._rendered[length]:
                return text[:length] + self._controls.shield(text[length:])
        # The task applied the template, and joined its prompts in a way that is not known here.
        return text if self._rendered else self._controls.shield(text)

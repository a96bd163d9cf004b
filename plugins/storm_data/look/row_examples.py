"""Rows of data sets as examples: a part for every message, document or answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from storm_models.chat.conversation import Conversation, plain_text
from storm_report.look.listing import Example, Part, Piece

if TYPE_CHECKING:
    from storm_models.chat.renderer import ChatRenderer
    from storm_models.checkpoint.checkpoint import Checkpoint

LEGEND = "an answer, which the model learns to produce"
TOKENS_LEGEND = "a token that the model learns to produce"
CONVERSATIONS = ("prompt", "chosen", "rejected")


class RowExamples:
    """Makes examples of rows: as text or, given a model, as the tokens that the model would see."""

    def __init__(self, model: Checkpoint | None = None) -> None:
        """Show rows as text, or as tokens of `model`; raises InputError without a template."""
        self._model = model
        self._renderer: ChatRenderer | None = None

    @property
    def legend(self) -> str:
        """What it means that a piece is supervised."""
        return TOKENS_LEGEND if self._model else LEGEND

    def example(self, row: Mapping[str, Any], number: int, reason: str = "") -> Example:
        """Return a row as an example; `number` counts from 1."""
        names = (str(row[name]) for name in ("id", "source") if row.get(name))
        title = " · ".join([f"row {number}", *names])
        return Example(title, self._parts(row), reason)

    def _parts(self, row: Mapping[str, Any]) -> list[Part]:
        parts: list[Part] = []
        if row.get("messages"):
            parts = self._chat(row, "messages", "")
        elif row.get("chosen"):
            parts = [part for name in CONVERSATIONS for part in self._chat(row, name, name)]
        elif row.get("text"):
            parts = [Part("text", [Piece(str(row["text"]), supervised=True)])]
        if row.get("tools") and parts:
            tools = json.dumps(json.loads(row["tools"]), ensure_ascii=False, indent=1)
            parts.insert(0, Part.of_text("tools", tools))
        return parts

    def _chat(self, row: Mapping[str, Any], column: str, name: str) -> list[Part]:
        """Return the messages of a column, or the chat as one part of tokens."""
        if self._model is not None and column != "prompt":
            return [self._tokens(row, column, name or "chat")]
        chat = Conversation.of(row, column)
        learnt = set(chat.answers()) if column != "prompt" else set()
        parts = []
        for turn, message in enumerate(row[column]):
            context = message["role"] == "assistant" and turn not in learnt
            title = f"{name} · {message['role']}" if name else message["role"]
            pieces = [Piece(plain_text(message), supervised=turn in learnt)]
            parts.append(Part(title, pieces, "context only" if context else ""))
        return parts

    def _tokens(self, row: Mapping[str, Any], column: str, title: str) -> Part:
        from storm_models.chat.detokenizer import token_texts
        from storm_models.chat.renderer import ChatTokens

        assert self._model is not None
        self._renderer = self._renderer or self._model.chat()
        chat = Conversation.of(row, column)
        context = len(chat.messages)
        if column != "messages":
            prompt = Conversation.of(row, "prompt")
            chat, context = prompt + chat, len(prompt.messages)
        (encoded,) = self._renderer.encode([chat], [context] if column != "messages" else None)
        if not isinstance(encoded, ChatTokens):
            return Part(title, [], f"cannot be trained on: {encoded}")
        texts = token_texts(self._model.tokenizer(), encoded.ids)
        pieces = [
            Piece(text, learnt, token)
            for text, learnt, token in zip(texts, encoded.supervised, encoded.ids, strict=True)
        ]
        learnt = sum(encoded.supervised[1:])
        return Part(title, pieces, f"{len(pieces)} tokens, {learnt} supervised")

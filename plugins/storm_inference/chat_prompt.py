"""Chats as token ids, up to where the model is to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from storm_exp import InputError, SettingError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Chat = Sequence[Mapping[str, Any]]

TEMPLATE_SETTINGS: dict[str, Any] = {"date_string": "26 Jul 2024", "enable_thinking": False}
"""For templates that would write today's date (Llama 3.2), or have the model think (Qwen 3)."""


class ChatPrompt:
    """Encodes chats with a tokenizer's template, with exactly one BOS where there is one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Check the template on a chat; raises InputError without one, or for a double BOS."""
        if not tokenizer.chat_template:
            raise InputError("the tokenizer has no chat template: the model cannot be asked")
        self._tokenizer = tokenizer
        self._add_special_tokens = False
        self._check_beginning([{"role": "user", "content": "x"}])
        entries = tokenizer.added_tokens_decoder.values()
        names = {entry.content for entry in entries if entry.special}
        self._special = sorted(names | set(tokenizer.all_special_tokens))

    def encode(self, chats: Sequence[Chat]) -> list[list[int]]:
        """Return the ids of each chat, ending where the assistant's turn begins."""
        return self._ids([self._text(chat) for chat in chats])

    def answer_ids(self, chat: Chat, answers: Sequence[str], setting: str) -> list[int]:
        """Return the id of each answer as the first token after `chat`.

        Raises SettingError, naming `setting`, for an answer that is not exactly one token there.
        """
        text = self._text(chat)
        (prompt,) = self._ids([text])
        found: list[int] = []
        for answer, ids in zip(answers, self._ids([text + a for a in answers]), strict=True):
            extra = len(ids) - len(prompt)
            if extra != 1 or ids[:-1] != prompt:
                problem = f"must be one token after the prompt, not {extra} in this tokenizer"
                if extra == 1:
                    problem = "must stay apart from the prompt's last token in this tokenizer"
                raise SettingError(setting, answer, problem)
            if ids[-1] in found or ids[-1] == self._tokenizer.unk_token_id:
                problem = "must have a token of its own; this tokenizer does not tell it apart"
                raise SettingError(setting, answer, problem)
            found.append(ids[-1])
        return found

    def special_token_in(self, text: str) -> str:
        """Return a special token that stands in `text` and would steer the model, or ''."""
        return next((token for token in self._special if token in text), "")

    def _text(self, chat: Chat) -> str:
        turns = [dict(turn) for turn in chat]
        text = self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False, **TEMPLATE_SETTINGS
        )
        assert isinstance(text, str)
        return text

    def _ids(self, texts: list[str]) -> list[list[int]]:
        encoded = self._tokenizer(texts, add_special_tokens=self._add_special_tokens)
        return [list(ids) for ids in encoded["input_ids"]]

    def _check_beginning(self, probe: Chat) -> None:
        """Let the template write BOS, or else the tokenizer, and see that only one does."""
        bos = self._tokenizer.bos_token_id
        if bos is None:
            return
        if self._leading(bos, probe) == 0:
            self._add_special_tokens = True
        if self._leading(bos, probe) == 0:
            self._add_special_tokens = False
        if (count := self._leading(bos, probe)) > 1:
            raise InputError(
                f"the chat template puts {count} BOS tokens ({self._tokenizer.bos_token}) "
                "before the chat: it must be one"
            )

    def _leading(self, bos: int, probe: Chat) -> int:
        (ids,) = self.encode([probe])
        return next((i for i, token in enumerate(ids) if token != bos), len(ids))

"""The harness's Hugging Face model, which renders and encodes as every other stage does."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from storm_evaluation.harness.chat_prompts import ChatPrompts
from storm_models.chat.control_tokens import ControlTokens
from storm_models.chat.renderer import ChatRenderer


class ChatModel(HFLM):
    """HFLM with this project's chats, control tokens and beginnings of prompts."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        renderer: ChatRenderer | None,
        *,
        batch_size: int,
        max_length: int | None,
    ) -> None:
        """Wrap a loaded model; without a renderer, tasks cannot use a chat template."""
        super().__init__(
            pretrained=model,
            tokenizer=tokenizer,
            batch_size=batch_size,
            max_length=max_length,
            trust_remote_code=False,
        )
        self._controls = renderer.controls if renderer else ControlTokens(tokenizer)
        self._end = tokenizer.eos_token_id
        self._adds_end = tokenizer("a")["input_ids"][-1:] == [self._end]
        self.prompts = ChatPrompts(renderer, self._controls)
        """The prompts rendered so far."""
        self.beginnings: set[int] = set()
        """The numbers of BOS tokens at the beginning of prompts."""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Return a chat as text; raises InputError for one that the template refuses."""
        return self.prompts.render(chat_history, ask=add_generation_prompt)

    def tok_encode(
        self,
        string: str,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **further: Any,
    ) -> list[int]:
        """Return the ids of a text with at most one BOS, and shielded control tokens as text."""
        first, *rest = self._controls.unshield(string)
        ids = super().tok_encode(first, add_special_tokens, **further)
        if self._adds_end:  # a text that continues must not end with an EOS that the tokenizer adds
            bare = self.tokenizer.encode(first, add_special_tokens=False)
            if count_leading(ids[::-1], self._end) > count_leading(bare[::-1], self._end):
                ids = ids[:-1]
        for number, piece in enumerate(rest):
            ids += self.tokenizer.encode(
                piece, add_special_tokens=False, split_special_tokens=number % 2 == 0
            )
        while count_leading(ids, self.tokenizer.bos_token_id) > 1:
            ids = ids[1:]
        return ids[-left_truncate_len:] if left_truncate_len else ids

    def tok_batch_encode(
        self,
        strings: list[str],
        padding_side: str = "left",
        left_truncate_len: int | None = None,
        truncation: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids of several texts, encoded by `tok_encode` and padded, and their mask."""
        rows = [self.tok_encode(text, left_truncate_len=left_truncate_len) for text in strings]
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            filled = slice(width - len(row), None) if padding_side == "left" else slice(len(row))
            ids[index, filled] = torch.tensor(row, dtype=torch.long)
            mask[index, filled] = 1
        return ids, mask

    def note_beginning(self, prompt: list[int]) -> None:
        """Record the number of BOS tokens that a prompt begins with."""
        self.beginnings.add(count_leading(prompt, self.tokenizer.bos_token_id))

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the ids of a prompt and of the answer to it.

        The harness scores white space that ends a prompt as part of the answer. What a template
        ends a prompt with (a line break, an empty thinking block) stays part of the prompt here, as
        in training.
        """
        if not self.prompts.was_rendered(context):
            pair: tuple[list[int], list[int]] = super()._encode_pair(context, continuation)
            return pair
        prompt, whole = self.tok_encode(context), self.tok_encode(context + continuation)
        shared = 0
        while shared < min(len(prompt), len(whole) - 1) and prompt[shared] == whole[shared]:
            shared += 1
        return whole[:shared], whole[shared:]

    def _shielded(self, requests: list[Instance]) -> list[Instance]:
        """Return the requests with control tokens shielded in texts that no template rendered."""
        shielded = []
        for request in requests:
            context, *rest = request.arguments
            arguments = (
                self.prompts.shield(context),
                *(self._controls.shield(text) if isinstance(text, str) else text for text in rest),
            )
            shielded.append(dataclasses.replace(request, arguments=arguments))
        if shielded and shielded[0].args[0]:
            self.note_beginning(self.tok_encode(shielded[0].args[0]))
        return shielded


def count_leading(ids: list[int], token: int | None) -> int:
    """Return the number of `token` at the beginning of `ids`."""
    count = 0
    while token is not None and count < len(ids) and ids[count] == token:
        count += 1
    return count

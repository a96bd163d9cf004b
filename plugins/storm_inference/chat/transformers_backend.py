"""Chat with a model of transformers in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from storm_exp import Runtime
from storm_inference.chat.prompts import Prompts
from storm_inference.chat.sampling import SamplingOptions
from storm_inference.factor_change import generate_through
from storm_models.chat.conversation import Conversation
from storm_models.chat.detokenizer import Detokenizer
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.devices import computing


class TransformersBackend:
    """A loaded model, which writes every token as soon as it is generated."""

    def __init__(self, model: Checkpoint, prompts: Prompts) -> None:
        """Load the model in its own dtype, on the GPU if there is one."""
        self._model, self._prompts, self._opened = model, prompts, contextlib.ExitStack()
        self._device = self._opened.enter_context(computing(Runtime()))
        self._network: Any = model.load("auto", self._device)
        dtype = str(self._network.dtype).removeprefix("torch.")
        self.about = f"transformers, {dtype}, {self._device}"

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat if the chat cannot be rendered."""
        self._prompts.of(chat)

    @torch.inference_mode()
    def answer(
        self, chat: Conversation, sampling: SamplingOptions, write: Callable[[str], None]
    ) -> bool:
        """Generate an answer with torch's generator, seeded."""
        prompt, stops = self._prompts.of(chat), self._prompts.stops
        torch.manual_seed(sampling.seed)
        tokens = Detokenizer(self._prompts.tokenizer)
        streamer = _Streamer(stops, tokens, write)
        samples = sampling.temperature > 0
        options: dict[str, Any] = {"repetition_penalty": sampling.repetition_penalty}
        if samples:
            options |= {"temperature": sampling.temperature, "top_k": sampling.top_k}
            options |= {"top_p": sampling.top_p, "min_p": sampling.min_p or None}
        self._network.generation_config = GenerationConfig(eos_token_id=stops)

        def generate(input_ids: torch.Tensor, mask: torch.Tensor, max_length: int) -> torch.Tensor:
            streamer.expect_prompt()
            ids: torch.Tensor = self._network.generate(
                input_ids=input_ids,
                attention_mask=mask,
                max_new_tokens=max_length - input_ids.shape[1],
                do_sample=samples,
                pad_token_id=stops[0] if stops else 0,
                streamer=streamer,
                **options,
            )
            return ids

        input_ids = torch.tensor([prompt], device=self._device)
        max_length = len(prompt) + self._prompts.context.room(len(prompt), sampling.max_new_tokens)
        mask = torch.ones_like(input_ids)
        config = self._model.config()
        ids = generate_through(config, input_ids, mask, max_length, stops, generate)
        if rest := tokens.rest():
            write(rest)
        return int(ids[0, -1]) in stops

    def close(self) -> None:
        """Release the model."""
        self._network = None
        self._opened.close()


class _Streamer(BaseStreamer):
    """Writes the text of generated tokens. transformers passes the prompt first."""

    def __init__(self, stops: list[int], tokens: Detokenizer, write: Callable[[str], None]) -> None:
        self._stops, self._tokens, self._write = stops, tokens, write
        self._prompt_follows = True

    def expect_prompt(self) -> None:
        """Ignore the next call of `put`."""
        self._prompt_follows = True

    def put(self, value: torch.Tensor) -> None:
        if self._prompt_follows:
            self._prompt_follows = False
            return
        for token in value.flatten().tolist():
            if token not in self._stops and (text := self._tokens.add(token)):
                self._write(text)

    def end(self) -> None:
        """Do nothing: a longer answer may follow, with other rotary factors."""

"""A model of transformers in this process, which streams its tokens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from storm_exp import Runtime
from storm_inference.chat.detokenizer import Detokenizer
from storm_inference.chat.prompts import Prompts
from storm_inference.chat.sampling import SamplingParameters
from storm_inference.factor_change import generate_through
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.devices import computing


class TransformersSpeaker:
    """A loaded model."""

    def __init__(self, model: Checkpoint, prompts: Prompts) -> None:
        """Load the model in its stored dtype, on the GPU if there is one."""
        self._model, self._prompts, self._closing = model, prompts, contextlib.ExitStack()
        self._device = self._closing.enter_context(computing(Runtime()))
        self._network: Any = model.load("auto", self._device)
        dtype = str(self._network.dtype).removeprefix("torch.")
        self.about = f"transformers, {dtype}, {self._device}"

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat if the chat cannot be rendered."""
        self._prompts.of(chat)

    @torch.inference_mode()
    def answer(
        self, chat: Conversation, sampling: SamplingParameters, write: Callable[[str], None]
    ) -> bool:
        """Generate an answer; samples depend on the seed."""
        prompt = self._prompts.of(chat)
        torch.manual_seed(sampling.seed)
        stops, tokens = self._prompts.stops, Detokenizer(self._prompts.tokenizer)
        streamer = _Streamer(stops, tokens, write)
        drawn = sampling.temperature > 0
        options: dict[str, Any] = {"repetition_penalty": sampling.repetition_penalty}
        if drawn:
            options |= {"temperature": sampling.temperature, "top_k": sampling.top_k}
            options |= {"top_p": sampling.top_p, "min_p": sampling.min_p or None}
        self._network.generation_config = GenerationConfig(eos_token_id=stops)

        def generate(given: torch.Tensor, mask: torch.Tensor, max_length: int) -> torch.Tensor:
            streamer.skip()
            written: torch.Tensor = self._network.generate(
                input_ids=given,
                attention_mask=mask,
                max_new_tokens=max_length - given.shape[1],
                do_sample=drawn,
                pad_token_id=stops[0] if stops else 0,
                streamer=streamer,
                **options,
            )
            return written

        given = torch.tensor([prompt], device=self._device)
        longest = len(prompt) + self._prompts.room(prompt, sampling.max_new_tokens)
        mask = torch.ones_like(given)
        written = generate_through(self._model.config(), given, mask, longest, stops, generate)
        write(tokens.rest())
        return int(written[0, -1]) in stops

    def close(self) -> None:
        """Release the model."""
        self._network = None
        self._closing.close()


class _Streamer(BaseStreamer):
    """Writes the text of tokens, without the prompt, which comes first."""

    def __init__(self, stops: list[int], tokens: Detokenizer, write: Callable[[str], None]) -> None:
        self._stops, self._tokens, self._write = stops, tokens, write
        self._skipped = False

    def skip(self) -> None:
        """Expect a prompt next."""
        self._skipped = False

    def put(self, value: torch.Tensor) -> None:
        if not self._skipped:
            self._skipped = True
            return
        for token in value.flatten().tolist():
            if token not in self._stops and (text := self._tokens.add(token)):
                self._write(text)

    def end(self) -> None:
        """Do nothing: the caller writes incomplete characters at the end."""

"""A model of transformers in this process, which writes every token as it is drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from storm_exp import Runtime
from storm_inference.chat.detokenizer import Detokenizer
from storm_inference.chat.drawing import Drawing
from storm_inference.chat.prompts import Prompts
from storm_inference.factor_change import generate_through
from storm_models.chat.conversation import Conversation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.devices import computing


class TransformersSpeaker:
    """A loaded model."""

    def __init__(self, model: Checkpoint, prompts: Prompts) -> None:
        """Load it in its own number format, on the GPU where there is one."""
        self._model, self._prompts, self._closing = model, prompts, contextlib.ExitStack()
        self._device = self._closing.enter_context(computing(Runtime()))
        self._network: Any = model.load("auto", self._device)
        dtype = str(self._network.dtype).removeprefix("torch.")
        self.about = f"transformers, {dtype}, {self._device}"

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat where the chat cannot be rendered."""
        self._prompts.of(chat)

    @torch.inference_mode()
    def answer(self, chat: Conversation, drawing: Drawing, write: Callable[[str], None]) -> bool:
        """Draw an answer with torch's generator, seeded."""
        prompt = self._prompts.of(chat)
        torch.manual_seed(drawing.seed)
        stops, tokens = self._prompts.stops, Detokenizer(self._prompts.tokenizer)
        streamer = _Streamer(stops, tokens, write)
        drawn = drawing.temperature > 0
        options: dict[str, Any] = {"repetition_penalty": drawing.repetition_penalty}
        if drawn:
            options |= {"temperature": drawing.temperature, "top_k": drawing.top_k}
            options |= {"top_p": drawing.top_p, "min_p": drawing.min_p or None}
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
        longest = len(prompt) + self._prompts.room(prompt, drawing.max_new_tokens)
        mask = torch.ones_like(given)
        written = generate_through(self._model.config(), given, mask, longest, stops, generate)
        write(tokens.rest())
        return int(written[0, -1]) in stops

    def close(self) -> None:
        """Forget the model."""
        self._network = None
        self._closing.close()


class _Streamer(BaseStreamer):
    """Writes the text of tokens; the prompt, which comes first, is not shown."""

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
        """Nothing is left: what the last tokens lack is written by who knows that they are."""

"""A model in vLLM's server, which is given prompts as token ids."""

from __future__ import annotations

from collections.abc import Callable

from storm_exp import InputError
from storm_inference.chat.drawing import Drawing
from storm_inference.chat.prompts import Prompts
from storm_inference.servers.server import Refused, Server, Unavailable
from storm_models.chat.conversation import Conversation


class VllmSpeaker:
    """A server that was started for this chat."""

    def __init__(self, server: Server, prompts: Prompts) -> None:
        """Ask `server`, which ends with the chat."""
        self._server, self._prompts = server, prompts
        self.about = f"vLLM at {server.url}"

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat where the chat cannot be rendered."""
        self._prompts.of(chat)

    def answer(self, chat: Conversation, drawing: Drawing, write: Callable[[str], None]) -> bool:
        """Write what the server streams."""
        prompt = self._prompts.of(chat)
        body = {
            "model": self._server.model,
            "prompt": prompt,
            "max_tokens": self._prompts.room(prompt, drawing.max_new_tokens),
            "temperature": drawing.temperature,
            "top_k": drawing.top_k or -1,
            "top_p": drawing.top_p or 1e-6,
            "min_p": drawing.min_p,
            "repetition_penalty": drawing.repetition_penalty,
            "seed": drawing.seed,
            "stop_token_ids": self._prompts.stops,
        }
        ended = False
        try:
            for event in self._server.stream("/v1/completions", body):
                for choice in event.get("choices") or []:
                    if choice.get("text"):
                        write(str(choice["text"]))
                    ended = ended or choice.get("finish_reason") == "stop"
        except (Unavailable, Refused) as error:
            raise InputError(f"vLLM failed: {error}") from error
        return ended

    def close(self) -> None:
        """End the server."""
        self._server.close()

"""Chat through vLLM's server, which receives prompts as token ids."""

from __future__ import annotations

from collections.abc import Callable

from storm_exp import InputError
from storm_inference.chat.prompts import Prompts
from storm_inference.chat.sampling import SamplingOptions
from storm_inference.servers.server import Refused, Server, Unavailable
from storm_models.chat.conversation import Conversation


class VllmBackend:
    """A server of the chat's own."""

    def __init__(self, server: Server, prompts: Prompts) -> None:
        """Use `server`, and end it with the chat."""
        self._server, self._prompts = server, prompts
        self.about = f"vLLM at {server.url}"

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat if the chat cannot be rendered."""
        self._prompts.of(chat)

    def answer(
        self, chat: Conversation, sampling: SamplingOptions, write: Callable[[str], None]
    ) -> bool:
        """Write the stream of the server."""
        prompt = self._prompts.of(chat)
        body = {
            "model": self._server.model,
            "prompt": prompt,
            "max_tokens": self._prompts.context.room(len(prompt), sampling.max_new_tokens),
            "temperature": sampling.temperature,
            "top_k": sampling.top_k or -1,
            "top_p": sampling.top_p or 1e-6,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "seed": sampling.seed,
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

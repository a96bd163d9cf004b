"""Chat through llama.cpp's server, which renders chats with the template in the GGUF file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from storm_exp import InputError
from storm_inference.chat.context import Context
from storm_inference.chat.sampling import SamplingOptions
from storm_inference.servers.server import Refused, Server, Unavailable
from storm_models.chat.control_tokens import CONTROL_TOKEN, strings
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat


class LlamaCppBackend:
    """A server of the chat's own."""

    def __init__(self, server: Server, context: Context, file: str) -> None:
        """Use `server`, started with this context and the GGUF `file`, and end it with the chat."""
        self._server, self._context = server, context
        self.about = f"llama.cpp with {file} at {server.url}"
        self._tokens = functools.lru_cache(maxsize=1024)(self._ids)

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat if the chat cannot be rendered, holds a control token or is long."""
        self._context.check(len(self._ids(self._prompt(chat), True)))

    def answer(
        self, chat: Conversation, sampling: SamplingOptions, write: Callable[[str], None]
    ) -> bool:
        """Write the stream of the server."""
        text = self._prompt(chat)
        length = len(self._ids(text, True))
        self._context.check(length)
        body = {
            "prompt": text,
            "n_predict": self._context.room(length, sampling.max_new_tokens),
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repeat_penalty": sampling.repetition_penalty,
            "seed": sampling.seed,
        }
        ended = False
        try:
            for event in self._server.stream("/completion", body):
                if event.get("content"):
                    write(str(event["content"]))
                ended = ended or event.get("stop_type") in ("eos", "word")
        except (Unavailable, Refused) as error:
            raise InputError(f"llama.cpp failed: {error}") from error
        return ended

    def close(self) -> None:
        """End the server."""
        self._server.close()

    def _prompt(self, chat: Conversation) -> str:
        for text in strings([chat.messages, chat.tools]):
            # The ids differ only if control tokens are parsed: only the template may write them.
            if self._tokens(text, True) != self._tokens(text, False):
                raise UnusableChat(CONTROL_TOKEN.format(self._control_token(text)))
        body: dict[str, Any] = {"messages": chat.messages}
        if chat.tools:
            body["tools"] = chat.tools
        try:
            prompt = str(self._server.post("/apply-template", body)["prompt"])
        except Refused as error:
            raise UnusableChat(f"the chat template refuses it ({error})") from error
        except (Unavailable, TypeError, KeyError) as error:
            raise InputError(f"llama.cpp failed: {error}") from error
        for message in chat.messages:
            if message["content"].strip() not in prompt:
                raise UnusableChat(f"the chat template does not show its {message['role']} turn")
        if any(tool["function"]["name"] not in prompt for tool in chat.tools or []):
            raise UnusableChat("the chat template does not show its tools")
        return prompt

    def _control_token(self, text: str) -> str:
        """Return the first control token in a text that has one."""
        for token in self._tokens(text, True):
            piece = str(self._post("/detokenize", {"tokens": [token]}, "content"))
            if piece in text and self._tokens(piece, True) != self._tokens(piece, False):
                return piece
        return ""

    def _ids(self, text: str, special: bool) -> tuple[int, ...]:
        body = {"content": text, "add_special": False, "parse_special": special}
        return tuple(self._post("/tokenize", body, "tokens"))

    def _post(self, path: str, body: dict[str, Any], name: str) -> Any:
        """Return an entry of the server's answer; raises InputError."""
        try:
            return self._server.post(path, body)[name]
        except (Unavailable, Refused, TypeError, KeyError) as error:
            raise InputError(f"llama.cpp failed: {error}") from error

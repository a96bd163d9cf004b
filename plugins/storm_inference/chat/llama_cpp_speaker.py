"""A GGUF file in llama.cpp's server, which renders chats by the template in the file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from storm_exp import InputError
from storm_inference.chat.drawing import Drawing
from storm_inference.servers.server import Refused, Server, Unavailable
from storm_models.chat.control_tokens import strings
from storm_models.chat.conversation import Conversation
from storm_models.chat.template import UnusableChat


class LlamaCppSpeaker:
    """A server that was started for this chat."""

    def __init__(self, server: Server, context: int) -> None:
        """Ask `server`, which reads `context` tokens and ends with the chat."""
        self._server, self._context = server, context
        self.about = f"llama.cpp at {server.url}"
        self._tokens = functools.lru_cache(maxsize=1024)(self._ids)

    def check(self, chat: Conversation) -> None:
        """Raise UnusableChat where the chat cannot be rendered, or steers the model."""
        self._prompt(chat)

    def answer(self, chat: Conversation, drawing: Drawing, write: Callable[[str], None]) -> bool:
        """Write what the server streams."""
        text = self._prompt(chat)
        length = len(self._ids(text, True))
        if length >= self._context:
            raise UnusableChat(f"{length} tokens leave no room for an answer in {self._context}")
        body = {
            "prompt": text,
            "n_predict": min(drawing.max_new_tokens, self._context - length),
            "temperature": drawing.temperature,
            "top_k": drawing.top_k,
            "top_p": drawing.top_p,
            "min_p": drawing.min_p,
            "repeat_penalty": drawing.repetition_penalty,
            "seed": drawing.seed,
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
            # Only what stands in a template may be a control token.
            if self._tokens(text, True) != self._tokens(text, False):
                raise UnusableChat("its contents hold a control token")
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

    def _ids(self, text: str, special: bool) -> tuple[int, ...]:
        body = {"content": text, "add_special": False, "parse_special": special}
        try:
            return tuple(self._server.post("/tokenize", body)["tokens"])
        except (Unavailable, Refused, TypeError, KeyError) as error:
            raise InputError(f"llama.cpp failed: {error}") from error

"""What answers in a chat, made ready."""

from __future__ import annotations

from pathlib import Path

from storm_inference.chat.speaker import Speaker
from storm_inference.servers.vllm_server import Starting
from storm_inference.targets.launching import (
    LLAMA_CPP,
    TRANSFORMERS,
    VLLM,
    Wishes,
    choose_engine,
    context_length,
    prepare,
)
from storm_inference.targets.target import Target

LENGTH = 8192
"""Tokens of a chat, where nobody says how many: servers keep memory for them."""
START_SECONDS = 1800.0


def open_speaker(
    target: Target, wanted: str | None, folder: Path, max_length: int | None
) -> Speaker:
    """Return what answers for a target: transformers here, or a server that ends with the chat.

    `folder` is for the server's log. Raises InputError where the model has no chat template.
    """
    engine = choose_engine(target, wanted, TRANSFORMERS)
    if engine == LLAMA_CPP:
        from storm_inference.chat.llama_cpp_speaker import LlamaCppSpeaker

        most = context_length(target.gguf_files()[0]) or LENGTH
        length = min(most, max_length or LENGTH)
        launch = prepare(target, engine, Wishes(folder=folder, max_length=length))
        return LlamaCppSpeaker(Starting(launch).wait(START_SECONDS), length)
    from storm_inference.chat.prompts import Prompts

    model = target.checkpoint()
    if engine == VLLM:
        from storm_inference.chat.vllm_speaker import VllmSpeaker

        prompts = Prompts(model, max_length or LENGTH)
        launch = prepare(target, engine, Wishes(folder=folder, max_length=prompts.max_length))
        return VllmSpeaker(Starting(launch).wait(START_SECONDS), prompts)
    from storm_inference.chat.transformers_speaker import TransformersSpeaker

    return TransformersSpeaker(model, Prompts(model, max_length))

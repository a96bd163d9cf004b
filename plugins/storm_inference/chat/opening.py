"""Opening the backend of a chat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from storm_inference.chat.backend import ChatBackend
from storm_inference.servers.server import Server
from storm_inference.servers.starting import OF_VERBS, ServerLaunch, Starting
from storm_inference.targets.launching import (
    LLAMA_CPP,
    TRANSFORMERS,
    VLLM,
    LaunchOptions,
    choose_engine,
    context_length,
    prepare,
)
from storm_inference.targets.target import Target

MAX_LENGTH = 8192
"""Default length of a chat with a server, which allocates memory for it."""
_START_SECONDS = 1800.0


def open_backend(
    target: Target,
    wanted: str | None,
    folder: Path,
    max_length: int | None,
    note: Callable[[str], None],
) -> ChatBackend:
    """Return the backend for a target, which the caller closes.

    `wanted` is the engine, None for the default one; `folder` is for a server's log, `note` is
    called with messages. Raises InputError if there is no chat template, or a server does not
    start.
    """
    engine = choose_engine(target, wanted, TRANSFORMERS)
    if engine == LLAMA_CPP:
        from storm_inference.chat.llama_cpp_backend import LlamaCppBackend

        context = context_length(target.gguf_files()[0]) or MAX_LENGTH
        length = min(context, max_length or MAX_LENGTH)
        launch = prepare(target, engine, LaunchOptions(folder=folder, max_length=length))
        return LlamaCppBackend(_start(launch, note), length)
    from storm_inference.chat.prompts import Prompts

    model = target.checkpoint()
    if engine == VLLM:
        from storm_inference.chat.vllm_backend import VllmBackend

        prompts = Prompts(model, max_length or MAX_LENGTH)
        options = LaunchOptions(folder=folder, max_length=prompts.max_length)
        return VllmBackend(_start(prepare(target, engine, options), note), prompts)
    from storm_inference.chat.transformers_backend import TransformersBackend

    return TransformersBackend(model, Prompts(model, max_length))


def _start(launch: ServerLaunch, note: Callable[[str], None]) -> Server:
    note(f"starting {launch.engine} (log: {launch.log})")
    return Starting(launch, OF_VERBS).wait(_START_SECONDS)

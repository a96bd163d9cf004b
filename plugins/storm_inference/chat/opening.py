"""Opening the backend of a chat."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from storm_inference.chat.backend import ChatBackend
from storm_inference.chat.context import Context
from storm_inference.environments.vllm import check_vllm
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

        file = target.gguf_files()[0]
        where = f"context_length in {file.name}"
        context = Context.of(context_length(file), max_length, MAX_LENGTH, where)
        launch = prepare(target, engine, LaunchOptions(folder=folder, max_length=context.tokens))
        return LlamaCppBackend(_start(launch, note), context, file.name)
    if engine == VLLM:
        check_vllm()  # before tokenizers are imported and read
    from storm_inference.chat.prompts import Prompts

    model = target.checkpoint()
    if engine == VLLM:
        from storm_inference.chat.vllm_backend import VllmBackend

        prompts = Prompts(model, max_length, MAX_LENGTH)
        options = LaunchOptions(folder=folder, max_length=prompts.context.tokens)
        return VllmBackend(_start(prepare(target, engine, options), note), prompts)
    from storm_inference.chat.transformers_backend import TransformersBackend

    return TransformersBackend(model, Prompts(model, max_length))


def _start(launch: ServerLaunch, note: Callable[[str], None]) -> Server:
    note(f"starting {launch.engine} (log: {launch.log})")
    return Starting(launch, OF_VERBS).wait(_START_SECONDS)

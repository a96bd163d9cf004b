"""The engine of a target, and its server."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

from storm_exp import InputError, Runtime
from storm_inference.environments.llama_cpp import llama_cpp
from storm_inference.environments.vllm import check_vllm, vllm
from storm_inference.opening import served_dtype
from storm_inference.servers.llama_cpp_server import LlamaCppLaunch
from storm_inference.servers.port import HOST
from storm_inference.servers.processor import check_processor_serves
from storm_inference.servers.starting import ServerLaunch
from storm_inference.servers.vllm_server import Launch, unique_name
from storm_inference.targets.contents import what_it_holds
from storm_inference.targets.exporting import export_command
from storm_inference.targets.gguf_header import read_gguf_header
from storm_inference.targets.memo_folder import MemoFolder
from storm_inference.targets.target import Target
from storm_models.chat.chat_file import TemplateContext
from storm_models.devices import device_count

TRANSFORMERS, VLLM, LLAMA_CPP = "transformers", "vllm", "llama_cpp"
_TEMPLATE = "tokenizer.chat_template"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """Options of a server."""

    folder: Path
    """For the log, and for the weights of a merge that is stored as a sum."""
    name: str = dataclasses.field(default_factory=unique_name)
    """Name of the model in requests."""
    host: str = HOST
    port: int = 0
    max_length: int | None = None
    """Maximum number of tokens of a prompt with its answer; None: the model's limit."""
    own_generation: bool = False
    """Whether generation_config.json provides the defaults of requests."""


def choose_engine(target: Target, wanted: str | None, default: str) -> str:
    """Return the engine `wanted`, or else `default` for folders and llama_cpp for GGUF files.

    Raises InputError if the target is not a model, or not in a format that the engine reads.
    """
    gguf, checkpoint = target.gguf_files(), target.has_checkpoint()
    if not gguf and not checkpoint:
        raise InputError(
            f"'{target.word}' holds {what_it_holds(target)}, not a model: {target.place} has "
            "neither config.json nor GGUF files"
        )
    chosen = wanted or (default if checkpoint else LLAMA_CPP)
    if chosen == LLAMA_CPP and not gguf:
        raise InputError(
            f"--inference llama_cpp needs a GGUF file, and '{target.word}' has none: to make one, "
            f"{export_command(target, 'gguf')}"
        )
    if chosen != LLAMA_CPP and not checkpoint:
        raise InputError(
            f"--inference {chosen} needs a folder in Hugging Face layout, and '{target.word}' has "
            "llama.cpp's format (GGUF): use llama_cpp, or the model from which it was exported"
        )
    return chosen


def prepare(target: Target, engine: str, options: LaunchOptions) -> ServerLaunch:
    """Return the launch of vLLM or llama.cpp for a target.

    Raises InputError if the engine's environment is missing, naming the command that creates it.
    """
    if engine == LLAMA_CPP:
        return _llama_cpp(target.gguf_files()[0], options)
    return _vllm(target, options)


def _vllm(target: Target, options: LaunchOptions) -> Launch:
    check_vllm()
    python = vllm().python()
    model = target.checkpoint()
    chat, gpus = TemplateContext.read(model.directory), device_count("auto")
    if not gpus:
        check_processor_serves(model.config())
    return Launch(
        python=python,
        model=model.materialise(MemoFolder(options.folder)).directory,
        log=options.folder / "vllm.log",
        dtype=served_dtype(model),
        max_length=options.max_length,
        gpu=0 if gpus else None,
        threads=Runtime().thread_count(),
        port=options.port,
        host=options.host,
        name=options.name,
        own_generation=options.own_generation,
        template_arguments={
            **chat.arguments,
            "date_string": date.fromisoformat(chat.date).strftime("%d %b %Y"),
        },
    )


def _llama_cpp(file: Path, options: LaunchOptions) -> LlamaCppLaunch:
    python = llama_cpp().python()
    lengths = [length for length in (options.max_length, context_length(file)) if length]
    return LlamaCppLaunch(
        python=python,
        file=file,
        log=options.folder / "llama_cpp.log",
        max_length=min(lengths, default=None),
        threads=Runtime().thread_count(),
        port=options.port,
        host=options.host,
        name=options.name,
    )


def context_length(file: Path) -> int | None:
    """Return the context length of a GGUF file; raises InputError if it has no chat template.

    Without one, llama.cpp would use ChatML.
    """
    header = read_gguf_header(file)
    if not header.get(_TEMPLATE):
        raise InputError(
            f"{file} has no chat template: set one for the model before it is exported, such as "
            "chat.template=chatml"
        )
    length = header.get(f"{header.get('general.architecture')}.context_length")
    return length if isinstance(length, int) else None

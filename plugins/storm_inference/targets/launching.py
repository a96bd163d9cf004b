"""Choice of the engine for a target, and the options of its server."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from storm_exp import Artifact, InputError, Runtime
from storm_inference.environments.llama_cpp import llama_cpp
from storm_inference.environments.vllm import vllm
from storm_inference.opening import served_dtype
from storm_inference.servers.llama_cpp_server import LlamaCppLaunch
from storm_inference.servers.vllm_server import HOST, Launch, Launched
from storm_inference.targets.gguf_header import read_gguf_header
from storm_inference.targets.target import Target
from storm_models.chat.chat_file import TemplateContext
from storm_models.devices import device_count

TRANSFORMERS, VLLM, LLAMA_CPP = "transformers", "vllm", "llama_cpp"
_TEMPLATE = "tokenizer.chat_template"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Requested options of a server."""

    folder: Path
    """For its log, and for the weights of a merge that is stored as a sum."""
    name: str = "model"
    """Name of the model in requests."""
    host: str = HOST
    port: int = 0
    max_length: int | None = None
    """Maximum length of a prompt with its answer, in tokens; None: that of the model."""
    own_generation: bool = False
    """Whether generation_config.json provides the defaults of requests."""


def choose_engine(target: Target, requested: str | None, default: str) -> str:
    """Return the requested engine; by default `default` for a folder, llama_cpp for GGUF files.

    Raises InputError if the target has no files that the engine can load.
    """
    gguf, checkpoint = target.gguf_files(), target.has_checkpoint()
    if not gguf and not checkpoint:
        kind = f" ({target.manifest.artifact})" if target.manifest else ""
        raise InputError(
            f"'{target.name}' is no model{kind}: {target.place} has neither config.json nor GGUF "
            "files"
        )
    chosen = requested or (default if checkpoint else LLAMA_CPP)
    if chosen == LLAMA_CPP and not gguf:
        raise InputError(
            f"--inference llama_cpp reads GGUF files, and '{target.name}' has none: +exporter=gguf "
            f"+graph.exporter.model={target.name} makes some (docs/export.md)"
        )
    if chosen != LLAMA_CPP and not checkpoint:
        raise InputError(
            f"--inference {chosen} reads folders in Hugging Face layout, and '{target.name}' is "
            "GGUF: take llama_cpp, or the model that it was made of"
        )
    return chosen


def prepare(target: Target, engine: str, options: ServerOptions) -> Launched:
    """Return the command of vLLM's or llama.cpp's server for a target.

    Raises InputError, with the command that creates it, if the engine's environment is missing.
    """
    if engine == LLAMA_CPP:
        return _llama_cpp(target.gguf_files()[0], options)
    return _vllm(target, options)


def _vllm(target: Target, options: ServerOptions) -> Launch:
    python = vllm().python()
    model = target.checkpoint()
    chat = TemplateContext.read(model.directory)
    shown = date.fromisoformat(chat.date).strftime("%d %b %Y")
    return Launch(
        python=python,
        model=model.materialise(_InFolder(options.folder)).directory,
        log=options.folder / "vllm.log",
        dtype=served_dtype(model),
        max_length=options.max_length,
        gpu=0 if device_count("auto") else None,
        threads=Runtime().thread_count(),
        port=options.port,
        host=options.host,
        name=options.name,
        own_generation=options.own_generation,
        template_arguments={**chat.arguments, "date_string": shown},
    )


def _llama_cpp(file: Path, options: ServerOptions) -> LlamaCppLaunch:
    python = llama_cpp().python()
    context = context_length(file)
    length = options.max_length or context
    return LlamaCppLaunch(
        python=python,
        file=file,
        log=options.folder / "llama_cpp.log",
        max_length=min(length, context) if length and context else length,
        threads=Runtime().thread_count(),
        port=options.port,
        host=options.host,
        name=options.name,
    )


def context_length(file: Path) -> int | None:
    """Return the context length of a GGUF file; raises InputError without a chat template.

    llama.cpp would use another model's template.
    """
    header = read_gguf_header(file)
    if not header.get(_TEMPLATE):
        raise InputError(
            f"{file} has no chat template, and llama.cpp would take another model's: set one for "
            "the model before it is exported, such as chat.template=chatml"
        )
    length = header.get(f"{header.get('general.architecture')}.context_length")
    return length if isinstance(length, int) else None


class _InFolder:
    """Writes memos into a folder outside the store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keeps(self, *artifacts: Artifact) -> bool:
        return True

    def memo(
        self,
        name: str,
        version: int,
        inputs: Mapping[str, Artifact | Sequence[Artifact]],
        fill: Callable[[Path], None],
    ) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True)
        fill(folder)
        return folder

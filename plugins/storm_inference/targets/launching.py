"""Which engine answers for a target, and the server that it starts."""

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
class Wishes:
    """How a server is to run."""

    folder: Path
    """For its log, and for the weights of a merge that has none of its own."""
    name: str = "model"
    """What requests call the model."""
    host: str = HOST
    port: int = 0
    max_length: int | None = None
    """Tokens of a prompt with its answer, at most; None: what the model allows."""
    own_generation: bool = False
    """Whether requests that do not say how to sample get what generation_config.json says."""


def choose_engine(target: Target, wanted: str | None, default: str) -> str:
    """Return which engine answers: `default` for a folder, llama_cpp for GGUF files.

    Raises InputError where there is nothing that the engine `wanted` can read.
    """
    gguf, checkpoint = target.gguf_files(), target.has_checkpoint()
    if not gguf and not checkpoint:
        kind = f" ({target.manifest.artifact})" if target.manifest else ""
        raise InputError(
            f"'{target.name}' is no model{kind}: {target.place} has neither config.json nor GGUF "
            "files"
        )
    chosen = wanted or (default if checkpoint else LLAMA_CPP)
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


def prepare(target: Target, engine: str, wishes: Wishes) -> Launched:
    """Return how to start vLLM or llama.cpp for a target.

    Raises InputError, with the command that makes it, where the engine's environment is missing.
    """
    if engine == LLAMA_CPP:
        return _llama_cpp(target.gguf_files()[0], wishes)
    return _vllm(target, wishes)


def _vllm(target: Target, wishes: Wishes) -> Launch:
    python = vllm().python()
    model = target.checkpoint()
    chat = TemplateContext.read(model.directory)
    shown = date.fromisoformat(chat.date).strftime("%d %b %Y")
    return Launch(
        python=python,
        model=model.materialise(_InFolder(wishes.folder)).directory,
        log=wishes.folder / "vllm.log",
        dtype=served_dtype(model),
        max_length=wishes.max_length,
        gpu=0 if device_count("auto") else None,
        threads=Runtime().thread_count(),
        port=wishes.port,
        host=wishes.host,
        name=wishes.name,
        own_generation=wishes.own_generation,
        template_arguments={**chat.arguments, "date_string": shown},
    )


def _llama_cpp(file: Path, wishes: Wishes) -> LlamaCppLaunch:
    python = llama_cpp().python()
    context = context_length(file)
    wanted = wishes.max_length or context
    return LlamaCppLaunch(
        python=python,
        file=file,
        log=wishes.folder / "llama_cpp.log",
        max_length=min(wanted, context) if wanted and context else wanted,
        threads=Runtime().thread_count(),
        port=wishes.port,
        host=wishes.host,
        name=wishes.name,
    )


def context_length(file: Path) -> int | None:
    """Return the tokens that a GGUF file's model reads; raises InputError without a chat template.

    llama.cpp would write chats in another model's form.
    """
    header = read_gguf_header(file)
    if not header.get(_TEMPLATE):
        raise InputError(
            f"{file} has no chat template, and llama.cpp would take another model's: set one for "
            "the model before it is exported, such as chat.template=chatml"
        )
    found = header.get(f"{header.get('general.architecture')}.context_length")
    return found if isinstance(found, int) else None


class _InFolder:
    """Keeps by-products in a folder, outside every store."""

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
        place = self._folder / name
        place.mkdir(parents=True)
        fill(place)
        return place

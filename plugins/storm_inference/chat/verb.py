"""The verb `chat`. Heavy imports are in functions: the module is imported with the plugin."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import InputError

if TYPE_CHECKING:
    from storm_inference.chat.sampling import SamplingOptions


def chat(arguments: list[str]) -> int:
    """Chat with a model."""
    from storm_inference.chat.chat_setup import read_chat_setup
    from storm_inference.chat.opening import open_backend
    from storm_inference.chat.session import Session, converse, one_shot
    from storm_inference.chat.terminal import Terminal, replace_invalid
    from storm_inference.targets.claimed import claimed
    from storm_inference.targets.target import find_target
    from storm_inference.targets.temporary_folder import ends_on_signals, temporary_folder

    options = _read(arguments)
    if options is None:
        return 0
    terminal = Terminal()
    text = _message(options.say)
    setup = read_chat_setup(replace_invalid(options.system), options.tools, options.tool_form)
    with contextlib.ExitStack() as opened:
        opened.enter_context(claimed("chat", Path(options.store), options.model))
        target = find_target(options.model, Path(options.store))
        sampling = _sampling(options, target.place)
        opened.enter_context(ends_on_signals(143))
        folder = opened.enter_context(temporary_folder("chat"))
        note = terminal.note if terminal.watched else _ignore
        note(f"opening {target.place}")
        backend = open_backend(target, options.inference, folder, options.max_length, note)
        opened.callback(backend.close)
        session = Session(backend, setup, sampling, terminal)
        if text is not None:
            return one_shot(session, terminal, text)
        note(f"{target.name} ({backend.about}). Ctrl-C ends an answer, Ctrl-D the chat")
        return converse(session, terminal)


def _read(arguments: list[str]) -> argparse.Namespace | None:
    from storm_inference.chat.chat_setup import FORMS
    from storm_inference.chat.sampling import MAX_NEW_TOKENS
    from storm_inference.targets.launching import LLAMA_CPP, TRANSFORMERS, VLLM
    from storm_inference.targets.options import OptionParser, positive
    from storm_inference.targets.target import STORE

    parser = OptionParser(
        "chat",
        "Chat with a model, or with --say or a pipe send one message.",
        "merger",
        'outputs/latest/finetuner --say "What is 2 plus 2?" --temperature 0',
    )
    add, config = parser.add_argument, "overrides generation_config.json"
    add("model", help="a stage of the latest run, the first digits of a key, a folder, a GGUF file")
    add("--say", metavar="TEXT", help="send one message and write only the answer")
    add(
        "--inference",
        choices=[TRANSFORMERS, VLLM, LLAMA_CPP],
        help=f"the engine (default: {TRANSFORMERS}, for GGUF files {LLAMA_CPP})",
    )
    add("--system", metavar="TEXT", default="", help="the system prompt")
    add("--tools", metavar="FILE", help="a JSON list of functions that the model may call")
    add(
        "--tool-form",
        choices=FORMS,
        default=FORMS[0],
        help="show tools with the model's chat template (default) or with a prompt of Storm's",
    )
    add("--temperature", type=float, metavar="T", help=f"0: no sampling; {config}")
    add("--top-k", type=int, metavar="K", help=f"0: all tokens; {config}")
    add("--top-p", type=float, metavar="P", help=config)
    add(
        "--max-tokens",
        type=int,
        metavar="N",
        help=f"length of an answer; {config} (default: {MAX_NEW_TOKENS})",
    )
    add("--max-length", type=positive, metavar="N", help="length of the whole chat, in tokens")
    add("--seed", type=int, default=0, metavar="N", help="seed of sampling (default: 0)")
    add("--store", metavar="DIR", default=str(STORE), help=f"store of keys (default: {STORE})")
    return parser.read(arguments)


def _message(say: str | None) -> str | None:
    """Return the single message, None for an interactive chat."""
    from storm_inference.chat.terminal import replace_invalid

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if say is None and sys.stdin.isatty():
        return None
    text = replace_invalid(say if say is not None else sys.stdin.read().removesuffix("\n"))
    if not text.strip():
        raise InputError("there is no message: use --say TEXT, or pipe it in")
    return text


def _sampling(options: argparse.Namespace, place: Path) -> SamplingOptions:
    from storm_inference.chat.sampling import SamplingOptions
    from storm_models.folder.generation_config import read_generation_config

    stated = {
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "max_new_tokens": options.max_tokens,
    }
    config = read_generation_config(place) if place.is_dir() else None
    return SamplingOptions.of(config or {}, stated, seed=options.seed)


def _ignore(text: str) -> None:
    pass

"""The verb `chat`, which imports what it needs only when it is called."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import InputError

if TYPE_CHECKING:
    from storm_inference.chat.sampling import SamplingParameters


def chat(arguments: list[str]) -> int:
    """Talk to a model: chat STAGE, KEY, FOLDER or FILE.gguf [--say TEXT] [--help]"""
    from storm_inference.chat.framing import read_framing
    from storm_inference.chat.opening import open_speaker
    from storm_inference.chat.session import Session, converse, one_shot
    from storm_inference.chat.terminal import Terminal, readable
    from storm_inference.targets.target import find_target
    from storm_inference.targets.working import ends_on_sigterm, working_folder

    parsed = _read(arguments)
    if parsed is None:
        return 0
    terminal = Terminal()
    text = _message(parsed.say)
    framing = read_framing(readable(parsed.system), parsed.tools, parsed.tool_form)
    target = find_target(parsed.model, Path(parsed.store))
    sampling = _sampling(parsed, target.place)
    with contextlib.ExitStack() as opened:
        opened.enter_context(ends_on_sigterm(143))
        folder = opened.enter_context(working_folder("chat"))
        if terminal.watched:
            terminal.note(f"opening {target.place}")
        speaker = open_speaker(target, parsed.inference, folder, parsed.max_length)
        opened.callback(speaker.close)
        session = Session(speaker, framing, sampling, terminal)
        if text is not None:
            return one_shot(session, terminal, text)
        terminal.note(f"{target.name} ({speaker.about}); Ctrl-C ends an answer, Ctrl-D the chat")
        return converse(session, terminal)


def _read(arguments: list[str]) -> argparse.Namespace | None:
    from storm_inference.chat.framing import FORMS
    from storm_inference.chat.sampling import MOST
    from storm_inference.targets.launching import LLAMA_CPP, TRANSFORMERS, VLLM
    from storm_inference.targets.target import STORE
    from storm_inference.targets.words import Words, at_least_one

    parser = Words("chat", "Chat with a model. Piped input is a single message, like --say.")
    add, over = parser.add_argument, "default: that of generation_config.json"
    add("model", help="a stage of the latest run, the first digits of a key, a folder, a GGUF file")
    add("--say", metavar="TEXT", help="one message: prints nothing but the answer")
    add(
        "--inference",
        choices=[TRANSFORMERS, VLLM, LLAMA_CPP],
        help="the engine; default: transformers, for GGUF files llama_cpp",
    )
    add("--system", metavar="TEXT", default="", help="the system message")
    add("--tools", metavar="FILE", help="JSON: a list of functions that may be called")
    add(
        "--tool-form",
        choices=FORMS,
        default=FORMS[0],
        help="what writes them: the model's chat template, or one of Storm's system prompts",
    )
    add("--temperature", type=float, metavar="T", help=f"0: the most probable tokens; {over}")
    add("--top-k", type=int, metavar="K", help=f"0: all tokens; {over}")
    add("--top-p", type=float, metavar="P", help=over)
    add("--max-tokens", type=int, metavar="N", help=f"maximum of an answer; {over}, or {MOST}")
    add("--max-length", type=at_least_one, metavar="N", help="maximum tokens of the whole chat")
    add("--seed", type=int, default=0, metavar="N", help="seed of sampling; default: 0")
    add("--store", metavar="DIR", default=str(STORE), help=f"store of keys; default: {STORE}")
    return parser.read(arguments)


def _message(say: str | None) -> str | None:
    """Return the single message, None if the user types in a terminal."""
    from storm_inference.chat.terminal import readable

    if say is None and sys.stdin.isatty():
        return None
    text = readable(say if say is not None else sys.stdin.read().removesuffix("\n"))
    if not text.strip():
        raise InputError("the message is empty: use --say TEXT or standard input")
    return text


def _sampling(parsed: argparse.Namespace, place: Path) -> SamplingParameters:
    from storm_inference.chat.sampling import SamplingParameters
    from storm_models.folder.generation_config import read_generation_config

    over = {
        "temperature": parsed.temperature,
        "top_k": parsed.top_k,
        "top_p": parsed.top_p,
        "max_new_tokens": parsed.max_tokens,
    }
    config = read_generation_config(place) if place.is_dir() else None
    return SamplingParameters.of(config or {}, over, seed=parsed.seed)

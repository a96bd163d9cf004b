"""The verb `chat`. What it imports while plugins are read is little; the rest follows."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from storm_exp import InputError

if TYPE_CHECKING:
    from storm_inference.chat.drawing import Drawing


def chat(arguments: list[str]) -> int:
    """Talk to a model: chat STAGE, KEY, FOLDER or FILE.gguf [--say TEXT] [--help]"""
    from storm_inference.chat.framing import read_framing
    from storm_inference.chat.opening import open_speaker
    from storm_inference.chat.session import Session, converse, one_shot
    from storm_inference.chat.terminal import Terminal, readable
    from storm_inference.targets.target import find_target
    from storm_inference.targets.working import ends_on_sigterm, working_folder

    said = _read(arguments)
    if said is None:
        return 0
    terminal = Terminal()
    text = _message(said.say)
    framing = read_framing(readable(said.system), said.tools, said.tool_form)
    target = find_target(said.model, Path(said.store))
    drawing = _drawing(said, target.place)
    with contextlib.ExitStack() as opened:
        opened.enter_context(ends_on_sigterm(143))
        folder = opened.enter_context(working_folder("chat"))
        if terminal.watched:
            terminal.note(f"opening {target.place}")
        speaker = open_speaker(target, said.inference, folder, said.max_length)
        opened.callback(speaker.close)
        session = Session(speaker, framing, drawing, terminal)
        if text is not None:
            return one_shot(session, terminal, text)
        terminal.note(f"{target.name} ({speaker.about}); Ctrl-C ends an answer, Ctrl-D the chat")
        return converse(session, terminal)


def _read(arguments: list[str]) -> argparse.Namespace | None:
    from storm_inference.chat.drawing import MOST
    from storm_inference.chat.framing import FORMS
    from storm_inference.targets.launching import LLAMA_CPP, TRANSFORMERS, VLLM
    from storm_inference.targets.target import STORE
    from storm_inference.targets.words import Words, at_least_one

    parser = Words("chat", "Talk to a model. What is piped in is one message, as --say is.")
    add, over = parser.add_argument, "over what generation_config.json says"
    add("model", help="a stage of the latest run, the first digits of a key, a folder, a GGUF file")
    add("--say", metavar="TEXT", help="one message: prints nothing but the answer")
    add(
        "--inference",
        choices=[TRANSFORMERS, VLLM, LLAMA_CPP],
        help="what answers; transformers, for GGUF files llama_cpp",
    )
    add("--system", metavar="TEXT", default="", help="the system's words")
    add("--tools", metavar="FILE", help="JSON: a list of functions that may be called")
    add(
        "--tool-form",
        choices=FORMS,
        default=FORMS[0],
        help="who shows them: the model's chat template, or one of Storm's system prompts",
    )
    add("--temperature", type=float, metavar="T", help=f"0: the likeliest tokens; {over}")
    add("--top-k", type=int, metavar="K", help=f"0: of all tokens; {over}")
    add("--top-p", type=float, metavar="P", help=over)
    add("--max-tokens", type=int, metavar="N", help=f"of an answer; {over}, or {MOST}")
    add("--max-length", type=at_least_one, metavar="N", help="tokens of the whole chat, at most")
    add("--seed", type=int, default=0, metavar="N", help="of what is drawn; 0")
    add("--store", metavar="DIR", default=str(STORE), help=f"where keys are found; {STORE}")
    return parser.read(arguments)


def _message(say: str | None) -> str | None:
    """Return the one message, None where the user types at a terminal."""
    from storm_inference.chat.terminal import readable

    if say is None and sys.stdin.isatty():
        return None
    text = readable(say if say is not None else sys.stdin.read().removesuffix("\n"))
    if not text.strip():
        raise InputError("nothing was said: --say TEXT, or words on standard input")
    return text


def _drawing(said: argparse.Namespace, place: Path) -> Drawing:
    from storm_inference.chat.drawing import Drawing
    from storm_models.folder.generation_config import read_generation_config

    over = {
        "temperature": said.temperature,
        "top_k": said.top_k,
        "top_p": said.top_p,
        "max_new_tokens": said.max_tokens,
    }
    config = read_generation_config(place) if place.is_dir() else None
    return Drawing.of(config or {}, over, seed=said.seed)

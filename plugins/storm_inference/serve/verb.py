"""The verb `serve`. What it imports while plugins are read is little; the rest follows."""

from __future__ import annotations

import argparse
from pathlib import Path

from storm_exp import InputError

PORT = 8000
"""vLLM's own."""


def serve(arguments: list[str]) -> int:
    """Put a model behind an address: serve STAGE, KEY, FOLDER or FILE.gguf [--port N] [--help]"""
    from storm_inference.serve.serving import serve_until_told
    from storm_inference.servers.vllm_server import check_port
    from storm_inference.targets.launching import TRANSFORMERS, VLLM, Wishes, choose_engine, prepare
    from storm_inference.targets.target import find_target
    from storm_inference.targets.working import ends_on_sigterm, working_folder

    said = _read(arguments)
    if said is None:
        return 0
    if said.inference == TRANSFORMERS:
        raise InputError(
            "--inference transformers: it has no server of its own; vllm serves folders in Hugging "
            "Face layout, llama_cpp GGUF files"
        )
    target = find_target(said.model, Path(said.store))
    engine = choose_engine(target, said.inference, VLLM)
    if said.port:
        check_port(said.port, said.host, "--port")
    with ends_on_sigterm(0), working_folder("serve") as folder:
        wishes = Wishes(
            folder=folder,
            name=said.name or target.name,
            host=said.host,
            port=said.port,
            max_length=said.max_length,
            own_generation=True,
        )
        serve_until_told(prepare(target, engine, wishes))
    return 0


def _read(arguments: list[str]) -> argparse.Namespace | None:
    from storm_inference.servers.vllm_server import HOST
    from storm_inference.targets.launching import LLAMA_CPP, TRANSFORMERS, VLLM
    from storm_inference.targets.target import STORE
    from storm_inference.targets.words import Words, at_least_one, port

    parser = Words("serve", "Put a model behind an address that speaks OpenAI's protocol.")
    add = parser.add_argument
    add("model", help="a stage of the latest run, the first digits of a key, a folder, a GGUF file")
    add(
        "--inference",
        choices=[VLLM, LLAMA_CPP, TRANSFORMERS],
        help="the engine; vllm, for GGUF files llama_cpp",
    )
    add("--host", default=HOST, help=f"where it listens; {HOST}: for this machine alone")
    add("--port", type=port, default=PORT, metavar="N", help=f"0: a free one; {PORT}")
    add("--name", help="what requests call the model; its stage, folder or file")
    add("--max-length", type=at_least_one, metavar="N", help="tokens of a chat, at most")
    add("--store", metavar="DIR", default=str(STORE), help=f"where keys are found; {STORE}")
    return parser.read(arguments)

"""The verb `serve`, which imports what it needs only when it is called."""

from __future__ import annotations

import argparse
from pathlib import Path

from storm_exp import InputError

PORT = 8000
"""vLLM's own."""


def serve(arguments: list[str]) -> int:
    """Serve a model over HTTP: serve STAGE, KEY, FOLDER or FILE.gguf [--port N] [--help]"""
    from storm_inference.serve.serving import serve_until_told
    from storm_inference.servers.vllm_server import check_port
    from storm_inference.targets.launching import (
        TRANSFORMERS,
        VLLM,
        ServerOptions,
        choose_engine,
        prepare,
    )
    from storm_inference.targets.target import find_target
    from storm_inference.targets.working import ends_on_sigterm, working_folder

    parsed = _read(arguments)
    if parsed is None:
        return 0
    if parsed.inference == TRANSFORMERS:
        raise InputError(
            "--inference transformers: it has no server of its own; vllm serves folders in Hugging "
            "Face layout, llama_cpp GGUF files"
        )
    target = find_target(parsed.model, Path(parsed.store))
    engine = choose_engine(target, parsed.inference, VLLM)
    if parsed.port:
        check_port(parsed.port, parsed.host, "--port")
    with ends_on_sigterm(0), working_folder("serve") as folder:
        options = ServerOptions(
            folder=folder,
            name=parsed.name or target.name,
            host=parsed.host,
            port=parsed.port,
            max_length=parsed.max_length,
            own_generation=True,
        )
        serve_until_told(prepare(target, engine, options))
    return 0


def _read(arguments: list[str]) -> argparse.Namespace | None:
    from storm_inference.servers.vllm_server import HOST
    from storm_inference.targets.launching import LLAMA_CPP, TRANSFORMERS, VLLM
    from storm_inference.targets.target import STORE
    from storm_inference.targets.words import Words, at_least_one, port

    parser = Words("serve", "Serve a model over HTTP with OpenAI's protocol.")
    add = parser.add_argument
    add("model", help="a stage of the latest run, the first digits of a key, a folder, a GGUF file")
    add(
        "--inference",
        choices=[VLLM, LLAMA_CPP, TRANSFORMERS],
        help="the engine; default: vllm, for GGUF files llama_cpp",
    )
    add("--host", default=HOST, help=f"address to listen at; default: {HOST}, this machine only")
    add("--port", type=port, default=PORT, metavar="N", help=f"0: a free port; default: {PORT}")
    add("--name", help="name of the model in requests; default: its stage, folder or file")
    add("--max-length", type=at_least_one, metavar="N", help="maximum tokens of a chat")
    add("--store", metavar="DIR", default=str(STORE), help=f"store of keys; default: {STORE}")
    return parser.read(arguments)

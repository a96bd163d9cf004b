"""The verb `serve`. Heavy imports are in functions: the module is imported with the plugin."""

from __future__ import annotations

import argparse
from pathlib import Path

from storm_exp import InputError

PORT = 8000
"""The default port, as vLLM's."""


def serve(arguments: list[str]) -> int:
    """Serve a model over HTTP."""
    from storm_inference.serve.serving import run_server
    from storm_inference.servers.port import check_port
    from storm_inference.targets.claimed import claimed
    from storm_inference.targets.launching import (
        TRANSFORMERS,
        VLLM,
        LaunchOptions,
        choose_engine,
        prepare,
    )
    from storm_inference.targets.target import find_target
    from storm_inference.targets.temporary_folder import ends_on_signals, temporary_folder

    options = _read(arguments)
    if options is None:
        return 0
    if options.inference == TRANSFORMERS:
        raise InputError(
            "--inference transformers has no server: use vllm for folders in Hugging Face layout, "
            "llama_cpp for GGUF files"
        )
    with claimed("serve", Path(options.store), options.model):
        target = find_target(options.model, Path(options.store))
        engine = choose_engine(target, options.inference, VLLM)
        check_port(options.port, options.host, f"--host {options.host} --port")
        with ends_on_signals(0), temporary_folder("serve") as folder:
            server = LaunchOptions(
                folder=folder,
                name=options.name or target.name,
                host=options.host,
                port=options.port,
                max_length=options.max_length,
                own_generation=True,
            )
            run_server(prepare(target, engine, server))
    return 0


def _read(arguments: list[str]) -> argparse.Namespace | None:
    from storm_inference.servers.port import HOST
    from storm_inference.targets.launching import LLAMA_CPP, TRANSFORMERS, VLLM
    from storm_inference.targets.options import OptionParser, port, positive
    from storm_inference.targets.target import STORE

    parser = OptionParser(
        "serve",
        "Serve a model over HTTP, with OpenAI's protocol.",
        "merger",
        "outputs/latest/gguf/model.gguf --port 8080",
    )
    add = parser.add_argument
    add("model", help="a stage of the latest run, the first digits of a key, a folder, a GGUF file")
    add(
        "--inference",
        choices=[VLLM, LLAMA_CPP, TRANSFORMERS],
        help=f"the engine (default: {VLLM}, for GGUF files {LLAMA_CPP})",
    )
    add("--host", default=HOST, help=f"address to listen at (default: {HOST})")
    add("--port", type=port, default=PORT, metavar="N", help=f"0: a free one (default: {PORT})")
    add("--name", help="name of the model in requests (default: that of its stage or folder)")
    add("--max-length", type=positive, metavar="N", help="length of a chat, in tokens")
    add("--store", metavar="DIR", default=str(STORE), help=f"store of keys (default: {STORE})")
    return parser.read(arguments)

"""llama.cpp's server, for the environment `llama_cpp`; it runs until a signal ends it.

python llama_cpp_program.py '{"file": …, "host": …, "port": …, "name": …, "max_length": …,
"threads": …}'. It imports nothing of this project.
"""

from __future__ import annotations

import json
import signal
import sys

import xllamacpp


def main(settings: dict[str, object]) -> None:
    """Serve a GGUF file until a signal ends the process."""
    params = xllamacpp.CommonParams()
    params.model.path = settings["file"]
    params.hostnames = [settings["host"]]
    params.port = settings["port"]
    params.model_alias = {settings["name"]}
    params.n_ctx = settings["max_length"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.use_jinja = True
    server = xllamacpp.Server(params)
    print(f"listening at {server.listening_address}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

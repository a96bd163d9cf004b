"""llama.cpp as an oracle: its server in the environment that xllamacpp was installed in."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

SEEDS = 50


class LlamaCpp:
    """A GGUF file in llama.cpp's server, asked over HTTP; use it as a context manager."""

    def __init__(self, python: Path, file: Path, *, context: int = 256, exact: bool = True) -> None:
        """`exact` computes attention in 32 bits: by default llama.cpp rounds keys and values."""
        words = json.dumps({"model": str(file), "context": context, "exact": exact})
        program = Path(__file__).with_name("llama_cpp_server.py")
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [str(python), str(program), words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean,
        )
        assert self._process.stdout is not None and self._process.stderr is not None
        self._address = self._process.stdout.readline().strip()
        assert self._address, self._process.stderr.read()[-2000:]

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(self, *_: object) -> None:
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        for stream in streams:
            assert stream is not None
            stream.close()
        self._process.wait(30)

    def ask(self, path: str, **body: Any) -> Any:
        """Return the server's answer to a request."""
        request = urllib.request.Request(
            self._address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def ids(self, text: str, *, special: bool = True) -> list[int]:
        """Return a text's tokens, with what the tokenizer adds by itself if `special`."""
        answer = self.ask("/tokenize", content=text, add_special=special, parse_special=True)
        return list(answer["tokens"])

    def log_probabilities(self, ids: list[int], count: int) -> dict[int, float]:
        """Return {token: log-probability} of the `count` likeliest after some tokens."""
        for seed in range(SEEDS):  # where it draws EOS it shows none
            answer = self.ask(
                "/completion",
                prompt=ids,
                n_predict=1,
                n_probs=count,
                temperature=50,
                seed=seed,
                cache_prompt=False,
            )
            if answer.get("completion_probabilities"):
                break
        shown = answer["completion_probabilities"][0]["top_logprobs"]
        return {entry["id"]: entry["logprob"] for entry in shown}

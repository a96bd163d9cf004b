"""The environment of llama.cpp: its server, which reads GGUF files."""

from __future__ import annotations

from pathlib import Path

from storm_inference.environments.environment import Environment


def llama_cpp() -> Environment:
    """Return the one for processors; no GPU is asked for."""
    return Environment(
        name="llama_cpp",
        purpose="llama.cpp's server: GGUF files, on CPUs",
        requirements=Path(__file__).parent / "requirements" / "llama_cpp.txt",
        imports=("xllamacpp",),
    )

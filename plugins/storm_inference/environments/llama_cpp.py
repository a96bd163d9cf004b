"""The environment of llama.cpp's server, which loads GGUF files."""

from __future__ import annotations

from pathlib import Path

from storm_inference.environments.environment import Environment


def llama_cpp() -> Environment:
    """Return the environment, whose server runs on CPUs."""
    return Environment(
        name="llama_cpp",
        purpose="llama.cpp's server: GGUF files, on CPUs",
        requirements=Path(__file__).parent / "requirements" / "llama_cpp.txt",
        imports=("xllamacpp",),
    )

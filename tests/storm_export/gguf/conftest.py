import os
from pathlib import Path

import pytest

from oracles.llama_cpp import LlamaCpp
from storm_exp.testing import run_component

pytest.importorskip("gguf")

from storm_export.gguf.exporter import Gguf
from storm_export.gguf.types import GgufType


@pytest.fixture(scope="session")
def llama_cpp():
    """Return a function that opens a file in llama.cpp."""
    python = os.environ.get("LLAMA_CPP_PYTHON")
    if not python:
        pytest.skip("LLAMA_CPP_PYTHON names no interpreter with xllamacpp")
    return lambda file, **options: LlamaCpp(Path(python), file, **options)


@pytest.fixture
def export(tmp_path):
    """Return a function that writes a checkpoint as GGUF files."""
    from storm_exp.testing import make_stage

    def write(model, *types):
        stage = make_stage(tmp_path, f"gguf-{len(list(tmp_path.iterdir()))}")
        return run_component(Gguf(types=[GgufType(name) for name in types]), stage, model)

    return write

import pytest

from oracles.llama_cpp import LlamaCpp
from storm_exp.testing import run_component
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.formats import GgufType
from storm_inference.environments.llama_cpp import llama_cpp as environment


@pytest.fixture(scope="session")
def llama_cpp():
    """Return a function that serves a file with llama.cpp."""
    needed = environment()
    if needed.problem():
        pytest.skip(f"the environment '{needed.name}' {needed.problem()}: {needed.command}")
    python = needed.python()
    return lambda file, **options: LlamaCpp(python, file, **options)


@pytest.fixture
def export(tmp_path):
    """Return a function that writes a checkpoint as GGUF files."""
    from storm_exp.testing import make_stage

    def write(model, *types):
        stage = make_stage(tmp_path, f"gguf-{len(list(tmp_path.iterdir()))}")
        return run_component(Gguf(types=[GgufType(name) for name in types]), stage, model)

    return write

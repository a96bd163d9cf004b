"""K types, quantised by libllama where it is installed."""

import pytest

from storm_exp import InputError
from storm_export.gguf.formats import GgufType
from storm_export.gguf.libllama import FOLDER, find_libllama
from storm_models.testing import make_checkpoint

WIDE = {"hidden_size": 256, "head_dim": 64, "intermediate_size": 512}


@pytest.mark.engines
@pytest.mark.parametrize("type_", ["q4_k_m", "q5_k_m", "q6_k"])
def test_llama_cpp_writes_and_loads_k_types(type_, export, llama_cpp, tmp_path):
    if find_libllama() is None:
        pytest.skip(f"{FOLDER} names no folder with libllama")
    model = make_checkpoint(tmp_path / "model", dtype="float32", **WIDE)
    files = export(model, "f32", type_).files()
    assert files[GgufType(type_)].stat().st_size < 0.3 * files[GgufType.f32].stat().st_size
    ids = [10, 40, 41, 42, 100]
    with llama_cpp(files[GgufType.f32]) as server:
        exact = server.log_probabilities(ids, 262)
    with llama_cpp(files[GgufType(type_)]) as server:
        quantised = server.log_probabilities(ids, 262)
    assert max(abs(quantised[token] - exact[token]) for token in exact) < 0.5


def test_k_types_without_llama_cpp_say_how_to_install_it(tmp_path, monkeypatch, export):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    model = make_checkpoint(tmp_path / "model", **WIDE)
    with pytest.raises(InputError, match="npm install @node-llama-cpp/linux-x64"):
        export(model, "q4_k_m")


def test_rows_that_do_not_fit_k_blocks_are_reported(tmp_path):
    from storm_export.gguf.exporter import Gguf

    sizes = {**WIDE, "intermediate_size": 96}
    model = make_checkpoint(tmp_path / "model", **sizes)
    remarks = Gguf(types=[GgufType.q4_k_m])._check_widths(model.config())
    assert "inner=96" in remarks[0]

"""Importance matrices: against hooks on transformers, llama.cpp's reader, and its quantisation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from storm_data.dataset import DatasetSpec
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.testing import make_chats
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.formats import GgufType
from storm_export.gguf.importance_matrix import ImportanceMatrixSpec, read_matrix
from storm_export.gguf.importance_scanner import ImportanceMatrixScanner
from storm_export.gguf.libllama import FOLDER, find_libllama
from storm_models.testing import make_checkpoint

WIDE = {"hidden_size": 256, "head_dim": 64, "intermediate_size": 512}
ORACLE = Path(__file__).parents[2] / "oracles/imatrix.py"
ROWS = {"splits": {"train": [9, 9]}, "columns": ["messages"]}


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chats")
    file = make_chats(folder / "chats.jsonl", rows=30, characters=120)
    return ChatJsonl(path=str(file)).run(make_stage(folder, "data"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model whose channels differ in size, as those of trained models do."""
    model = make_checkpoint(tmp_path_factory.mktemp("qwen2"), "qwen2", dtype="float32", **WIDE)
    network, generator = model.load(), torch.Generator().manual_seed(0)
    for name, norm in network.named_parameters():
        if "layernorm" in name:
            norm.data = torch.exp(torch.randn(norm.shape, generator=generator))
    network.save_pretrained(model.directory)
    return model


@pytest.fixture(scope="module")
def matrix(model, chats, tmp_path_factory):
    return scan(model, chats, tmp_path_factory.mktemp("matrix"))


@pytest.fixture
def libllama():
    found = find_libllama()
    if found is None:
        pytest.skip(f"{FOLDER} names no folder with libllama")
    return found


def scan(model, data, folder, name="matrix", **settings):
    given = {"samples": 100, "max_length": 256, "seed": 0, **settings}
    return run_component(
        ImportanceMatrixScanner(**given), make_stage(folder, name), model, data=data
    )


def token_ids(model, chats):
    """Return the ids of every chat, with transformers' template and tokenizer."""
    tokenizer, rows = model.tokenizer(), []
    for row in chats.rows("train"):
        messages = [{k: m[k] for k in ("role", "content")} for m in row["messages"]]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        rows.append(tokenizer(text, add_special_tokens=False)["input_ids"])
    return rows


@pytest.mark.parametrize("family", ["llama", "qwen3", "phi3", "gemma2"])
def test_sums_are_those_of_hooks_on_transformers(family, chats, tmp_path):
    sizes = {"hidden_size": 64, "head_dim": 16}
    sizes |= {"query_pre_attn_scalar": 16} if family == "gemma2" else {}
    model = make_checkpoint(tmp_path / "model", family, dtype="float32", **sizes)
    network = model.load()
    inputs: dict[str, list[np.ndarray]] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Linear) and name != "lm_head":

            def note(module, given, name=name):
                inputs.setdefault(name, []).append(given[0][0].double().numpy())

            layer.register_forward_pre_hook(note)
    rows = token_ids(model, chats)
    with torch.no_grad():
        for ids in rows:
            network(torch.tensor([ids]))
    read = {t.name: t.data for t in gguf.GGUFReader(scan(model, chats, tmp_path).file).tensors}
    assert len(read) == 2 * len(inputs) == 2 * 2 * (4 if family == "phi3" else 7)
    layers = {"attn_qkv": "self_attn.qkv_proj", "attn_q": "self_attn.q_proj"}
    layers |= {"attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj"}
    layers |= {"attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj"}
    layers["ffn_up"] = "mlp.gate_up_proj" if family == "phi3" else "mlp.up_proj"
    layers["ffn_down"] = "mlp.down_proj"
    tokens = sum(map(len, rows))
    for name, sums in read.items():
        _, number, part, _, kind = name.split(".")
        if kind == "counts":
            assert sums.tolist() == [[tokens]]
            continue
        values = np.concatenate(inputs[f"model.layers.{number}.{layers[part]}"])
        assert values.shape == (tokens, sums.shape[1])
        np.testing.assert_allclose(sums[0], (values**2).sum(axis=0), rtol=1e-4)


def test_the_record_says_what_was_read(matrix, model, chats):
    rows = token_ids(model, chats)
    content = json.loads((matrix.directory / "imatrix.json").read_text())
    assert content["calibration_rows"] == len(rows) and content["samples"] == 100
    assert content["calibration_tokens"] == sum(map(len, rows))
    planned = ImportanceMatrixScanner(samples=100, seed=0).plan_spec(model.spec(), chats.spec())
    assert planned == matrix.spec()


@pytest.mark.engines
def test_llama_cpp_reads_the_file_as_its_own(matrix, libllama):
    words = [sys.executable, str(ORACLE), str(libllama), str(matrix.file)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    read = json.loads(done.stdout)
    assert (read["is_legacy"], read["has_metadata"]) == (False, True)
    content = json.loads((matrix.directory / "imatrix.json").read_text())
    assert read["chunk_count"] == content["calibration_rows"]
    means = read_matrix(matrix.file)
    assert read["entries"].keys() == means.keys() and len(means) == 14
    for name, (sums, counts) in read["entries"].items():
        assert counts == [content["calibration_tokens"]]
        np.testing.assert_allclose(np.array(sums) / counts[0], means[name], rtol=1e-6)


def values_of(file):
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(file).tensors
    }


@pytest.fixture
def both(model, matrix, libllama, tmp_path):
    """Files of a few types, without a matrix and with it."""
    types = [GgufType(name) for name in ("f32", "q8_0", "q4_0", "q4_k_m", "q2_k")]
    stages = [make_stage(tmp_path, name) for name in ("plain", "weighted")]
    return (
        run_component(Gguf(types=types), stages[0], model),
        run_component(Gguf(types=types), stages[1], model, importance=matrix),
    )


@pytest.mark.engines
def test_errors_are_smaller_where_the_model_reads_much(both, model, matrix, chats):
    plain, weighted = (each.files() for each in both)
    exact, means = values_of(plain[GgufType.f32]), read_matrix(matrix.file)
    for type_ in (GgufType.q4_0, GgufType.q4_k_m, GgufType.q2_k):
        before, after = (values_of(files[type_]) for files in (plain, weighted))
        for name, mean in means.items():
            errors = [
                float(((each[name] - exact[name]) ** 2 * mean).sum()) for each in (before, after)
            ]
            assert errors[1] < 0.95 * errors[0], (type_, name)
        read = [divergence(model, each, chats) for each in (before, after)]
        assert read[1] < 0.8 * read[0], type_
    for type_ in (GgufType.f32, GgufType.q8_0):
        assert plain[type_].read_bytes() == weighted[type_].read_bytes()
    files = json.loads((both[1].directory / "gguf.json").read_text())["files"]
    used = {entry["type"] for entry in files if entry.get("importance_matrix")}
    assert used == {"q4_0", "q4_k_m", "q2_k"}


def divergence(model, values, chats):
    """Return how far the model is from itself with other weights of its layers, in nats."""
    exact, changed = model.load(), model.load()
    parts = {"attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj"}
    parts |= {"ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    parts |= {f"attn_{one}": f"self_attn.{one}_proj" for one in "qkv"}
    for name, weight in values.items():
        if name.startswith("blk.") and weight.ndim == 2:
            _, number, part, _ = name.split(".")
            layer = changed.get_submodule(f"model.layers.{number}.{parts[part]}")
            layer.weight.data = torch.from_numpy(weight.copy())
    total = 0.0
    with torch.no_grad():
        for ids in token_ids(model, chats)[:10]:
            before, after = (
                network(torch.tensor([ids])).logits[0].double().log_softmax(-1)
                for network in (exact, changed)
            )
            total += float((before.exp() * (before - after)).sum())
    return total


@pytest.mark.engines
def test_llama_cpp_loads_what_was_weighted(both, llama_cpp):
    ids = [10, 40, 41, 42, 100]
    files = both[1].files()
    with llama_cpp(files[GgufType.f32]) as server:
        exact = server.log_probabilities(ids, 262)
    for type_ in (GgufType.q4_0, GgufType.q4_k_m):
        with llama_cpp(files[type_]) as server:
            quantised = server.log_probabilities(ids, 262)
        assert max(abs(quantised[token] - exact[token]) for token in exact) < 0.5


def test_without_libllama_a_weighted_type_says_how_to_install_it(
    model, matrix, tmp_path, monkeypatch
):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    exporter = Gguf(types=[GgufType.q4_0])
    with pytest.raises(InputError, match="npm install @node-llama-cpp/linux-x64"):
        run_component(exporter, make_stage(tmp_path, "weighted"), model, importance=matrix)
    run_component(exporter, make_stage(tmp_path, "plain"), model)  # which is our own


def test_types_that_are_not_weighted_leave_the_matrix_alone():
    assert Gguf(types=[GgufType.q8_0, GgufType.bf16]).idle_ports() == {"importance"}
    for name in ("q4_0", "q4_k_m"):
        assert Gguf(types=[GgufType.q8_0, GgufType(name)]).idle_ports() == set()


def test_the_matrix_of_another_model_is_refused(model, matrix, tmp_path):
    other = make_checkpoint(tmp_path / "other", "qwen2")
    exporter = Gguf(types=[GgufType.q4_0])
    with pytest.raises(InputError, match="of a model with other tensor shapes"):
        exporter.plan_spec(other.spec(), matrix.spec())
    exporter.plan_spec(model.spec(), matrix.spec())
    exporter.plan_spec(model.spec(), ImportanceMatrixSpec())


@pytest.mark.parametrize(
    ("settings", "data", "problem"),
    [
        ({"samples": 0}, ROWS, "samples=0"),
        ({"split": "valid"}, ROWS, r"no such rows \(splits: train\)"),
        ({}, {**ROWS, "columns": ["prompt", "chosen", "rejected"]}, "these have prompt, chosen"),
    ],
)
def test_what_cannot_work_is_refused_with_the_plan(settings, data, problem, model):
    with pytest.raises((SettingError, InputError), match=problem):
        scanner = ImportanceMatrixScanner(**{"seed": 0, **settings})
        scanner.plan_spec(model.spec(), DatasetSpec(**data))


def test_a_model_that_llama_cpp_lacks_is_refused_with_the_plan(tmp_path):
    model = make_checkpoint(tmp_path / "model", "olmo2")
    with pytest.raises(InputError, match="olmo2"):
        ImportanceMatrixScanner(seed=0).plan_spec(model.spec(), DatasetSpec(**ROWS))


def test_inputs_that_are_no_numbers_are_refused(chats, tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32")
    network = model.load()
    network.model.layers[0].self_attn.o_proj.weight.data[0, 0] = float("inf")
    network.save_pretrained(model.directory)
    with pytest.raises(InputError, match=r"model\.layers\.0\.mlp\.\w+ hold NaN or infinity"):
        scan(model, chats, tmp_path)


def test_the_cost_is_a_pass_without_the_head(model):
    data = DatasetSpec(splits={"train": [100, 100]}, columns=["messages"], row_tokens=50.0)
    few, many = (
        ImportanceMatrixScanner(samples=number, seed=0).cost(model.spec(), data)
        for number in (10, 512)
    )
    assert few is not None and many is not None
    assert (few.tokens, many.tokens) == (500, 5000)
    assert many.flops == pytest.approx(10 * few.flops) and many.memory == few.memory

"""Contents of GGUF files, read back with the package `gguf`."""

import json
import re
import subprocess
import sys

import gguf
import numpy as np
import pytest

from families import FAMILIES, family_checkpoint
from storm_exp import InputError, SettingError
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.formats import GgufType
from storm_models.testing import make_checkpoint

LAYER = "model.layers.1."


def read(file):
    """Return {key: value} and {name: (type, values in fp32)} of a file."""
    reader = gguf.GGUFReader(file)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    tensors = {}
    for tensor in reader.tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(shape)
        tensors[tensor.name] = (tensor.tensor_type.name, values)
    return fields, tensors


def expected(model):
    """Return {llama.cpp's name: values}, converted independently of the exporter."""
    config, values_by_name = model.config(), {}
    gemma = config["model_type"].startswith("gemma")
    for name, tensor in model.tensors():
        values = tensor.float().numpy()
        if gemma and "norm" in name:
            values = values + 1
        if config["model_type"] in ("llama", "mistral"):
            heads = {"q_proj": config["num_attention_heads"], "k_proj": 2}
            for part, count in heads.items():
                if part in name:  # row j of a head's first half, then row j of its second
                    rows = values.reshape(count, -1, *values.shape[1:])
                    half = rows.shape[1] // 2
                    order = [row for j in range(half) for row in (j, half + j)]
                    values = rows[:, order].reshape(values.shape)
        kind = gguf.MODEL_ARCH[
            {"gemma3_text": "GEMMA3", "mistral": "LLAMA"}.get(
                config["model_type"], config["model_type"].upper()
            )
        ]
        names = gguf.get_tensor_name_map(kind, config["num_hidden_layers"])
        values_by_name[names.get_name(name, (".weight", ".bias"))] = values
    return values_by_name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_of_every_family_is_there(family, export, tmp_path):
    model = family_checkpoint(tmp_path / "model", family)
    ((_, file),) = export(model, "f32").files().items()
    fields, tensors = read(file)
    oracle = expected(model)
    assert {name: kind for name, (kind, _) in tensors.items()} == dict.fromkeys(oracle, "F32")
    for name, values in oracle.items():
        np.testing.assert_array_equal(tensors[name][1], values, err_msg=name)
    architecture = fields["general.architecture"]
    assert fields[f"{architecture}.block_count"] == 3
    assert fields[f"{architecture}.attention.key_length"] == 8
    assert fields["general.file_type"] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plan_counts_the_bytes_of_the_tensors_that_are_written(family, export, tmp_path):
    model = family_checkpoint(tmp_path / "model", family)
    types = ("f32", "f16", "q8_0", "q4_0")
    written = export(model, *types).files()
    readers = [gguf.GGUFReader(file) for file in written.values()]
    tensors = sum(int(tensor.n_bytes) for reader in readers for tensor in reader.tensors)
    counted = Gguf(types=[GgufType(type_) for type_ in types]).cost(model.spec()).disk
    assert counted == tensors + len(types) * 35 * model.config()["vocab_size"]


@pytest.mark.parametrize("type_", ["f16", "bf16", "q8_0", "q4_0"])
def test_matrices_have_the_type_and_vectors_stay_in_32_bits(type_, export, tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32", tie_word_embeddings=True)
    ((_, file),) = export(model, type_).files().items()
    _, tensors = read(file)
    for name, values in expected(model).items():
        kind, stored = tensors[name]
        if values.ndim == 1:
            assert kind == "F32"
            np.testing.assert_array_equal(stored, values)
            continue
        # llama.cpp stores the head in more bits; a tied head is the embedding.
        assert kind == ("Q8_0" if (type_, name) == ("q4_0", "token_embd.weight") else type_.upper())
        blocks = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind])
        oracle = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[kind])
        np.testing.assert_array_equal(stored, oracle, err_msg=name)
        error = np.abs(stored - values).max()
        assert error <= np.abs(values).max() * {"q4_0": 1 / 8, "q8_0": 1 / 127}.get(type_, 2**-8)


def test_blocks_are_those_of_their_definition(export, tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32")
    _, tensors = read(export(model, "q8_0").files()[GgufType.q8_0])
    values = model.tensor("model.layers.0.mlp.up_proj.weight").double().numpy().reshape(-1, 32)
    scale = np.abs(values).max(axis=1, keepdims=True) / 127
    whole = np.round(values / scale)
    defined = whole * scale.astype(np.float16).astype(np.float64)
    stored = tensors["blk.0.ffn_up.weight"][1].reshape(-1, 32)
    assert np.mean(np.abs(stored - defined) > 1e-7) < 1e-3  # ties may round differently


def test_rows_that_are_no_multiple_of_a_block_stay_in_16_bits(export, tmp_path):
    model = make_checkpoint(tmp_path / "model", intermediate_size=48)
    _, tensors = read(export(model, "q8_0").files()[GgufType.q8_0])
    assert tensors["blk.0.ffn_down.weight"][0] == "F16"
    assert tensors["blk.0.ffn_up.weight"][0] == "Q8_0"


def test_a_template_that_reads_arguments_and_the_date_is_remarked_upon(export, tmp_path):
    model = make_checkpoint(tmp_path / "model")
    assert not [each for each in export(model, "f32").remarks() if "chat template" in each]
    text = "{{ strftime_now('%d') }}{% if enable_thinking %}<think>{% endif %}{{ messages }}"
    (model.directory / "chat_template.jinja").write_text(text, encoding="utf-8")
    chat = {"arguments": {"enable_thinking": False}, "date": "2026-07-26"}
    (model.directory / "chat.json").write_text(json.dumps(chat), encoding="utf-8")
    (remark,) = [each for each in export(model, "q8_0").remarks() if "chat template" in each]
    assert "reads enable_thinking (False), strftime_now ('2026-07-26'): llama.cpp" in remark


def test_several_types_are_several_files_of_the_same_metadata(export, tmp_path):
    files = export(make_checkpoint(tmp_path / "model"), "bf16", "q4_0").files()
    assert [file.name for file in files.values()] == ["model-BF16.gguf", "model-Q4_0.gguf"]
    one, other = (read(file)[0] for file in files.values())
    differ = {key for key in one if one[key] != other[key]}
    assert differ == {"general.file_type"}


def test_the_same_model_gives_the_same_bytes(export, tmp_path):
    model = make_checkpoint(tmp_path / "model")
    first, second = (export(model, "q4_0").files()[GgufType.q4_0] for _ in range(2))
    assert first != second and first.read_bytes() == second.read_bytes()


def test_a_sum_of_models_is_written_like_a_model(export, tmp_path):
    model = make_checkpoint(tmp_path / "model", "mistral", sliding_window=None)
    assert read(export(model, "f32").files()[GgufType.f32])[0]["llama.context_length"] == 256


def test_a_weight_that_a_type_cannot_represent_is_named(export, tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32")
    from storm_models.folder.tensor_file import TensorReader, TensorWriter

    file = tmp_path / "model" / "model.safetensors"
    with TensorReader(file) as reader:
        tensors = {name: reader.tensor(name) for name in reader.entries}
    tensors[f"{LAYER}mlp.up_proj.weight"][3, 3] = 1e6
    layout = {name: ("F32", tuple(tensor.shape)) for name, tensor in tensors.items()}
    with TensorWriter(file, layout) as writer:
        for name, tensor in tensors.items():
            writer.write(name, tensor)
    with pytest.raises(InputError, match=r"layers\.1\.mlp\.up_proj\.weight: .*too large for f16"):
        export(model, "f16")


def test_types_are_distinct_and_at_least_one():
    for types in ([], [GgufType.f16, GgufType.f16]):
        shown = re.escape(str([each.name for each in types]))
        with pytest.raises(SettingError, match=rf"^types={shown}: must list at least one type"):
            Gguf(types=types)


def test_k_types_need_rows_of_256(tmp_path):
    model = make_checkpoint(tmp_path / "model")
    with pytest.raises(SettingError, match=r"hidden=32.*use q8_0 or q4_0"):
        Gguf(types=[GgufType.q4_k_m]).plan_spec(model.spec())


MEMORY = """
import resource, sys
from pathlib import Path
from storm_exp.testing import make_stage
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.formats import GgufType
from storm_models.checkpoint.checkpoint import Checkpoint
folder = Path(sys.argv[1])
small, large = Checkpoint(folder / "small"), Checkpoint(folder / "large")
peaks = []
for name, model in (("a", small), ("b", large)):
    Gguf(types=[GgufType.f32, GgufType.q4_0]).run(make_stage(folder, name), model)
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(peaks[1] - peaks[0])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_model(tmp_path):
    make_checkpoint(tmp_path / "small", dtype="float32")
    sizes = {"intermediate_size": 150_000, "num_hidden_layers": 1}
    large = make_checkpoint(tmp_path / "large", dtype="float32", **sizes)
    megabytes = large.weight_bytes() / 2**20
    assert megabytes > 50
    words = [sys.executable, "-c", MEMORY, str(tmp_path)]
    grown = float(subprocess.run(words, capture_output=True, check=True, text=True).stdout)
    assert grown < 0.4 * megabytes  # one of its three matrices, and the pieces


def test_values_are_read_in_pieces(export, tmp_path, monkeypatch):
    model = make_checkpoint(tmp_path / "model", "llama", dtype="float32")
    whole = export(model, "q8_0").files()[GgufType.q8_0].read_bytes()
    monkeypatch.setattr("storm_export.gguf.writer._PIECE", 300)
    assert export(model, "q8_0").files()[GgufType.q8_0].read_bytes() == whole

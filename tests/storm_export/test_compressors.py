import json
from pathlib import Path

import pytest
import torch

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_export.bf16 import Bf16
from storm_export.fp8_dynamic import Fp8Dynamic
from storm_models.testing import make_checkpoint

IDS = torch.arange(40)[None]


def summary(checkpoint):
    return json.loads((checkpoint.directory / "compression.json").read_text())


@pytest.fixture(scope="module", params=["llama", "qwen2-tied"])
def model(request, tmp_path_factory):
    family, _, tied = request.param.partition("-")
    sizes = {"hidden_size": 64, "head_dim": 16, "intermediate_size": 128}
    folder = tmp_path_factory.mktemp(request.param)
    return make_checkpoint(folder, family, tie_word_embeddings=bool(tied), **sizes)


@pytest.fixture(scope="module")
def fp8(model, tmp_path_factory):
    return Fp8Dynamic().run(make_stage(tmp_path_factory.mktemp("fp8")), model)


def test_the_layers_are_stored_in_eight_bits_and_nothing_else_is(model, fp8):
    before, after = model.headers(), fp8.headers()
    for name, (dtype, shape) in before.items():
        linear = name.startswith("model.layers.") and len(shape) == 2
        assert after[name] == ("F8_E4M3" if linear else dtype, shape)
    scales = {name for name in after if name not in before}
    assert scales and all(name.endswith("weight_scale") for name in scales)
    assert summary(fp8)["quantised"] == len(scales) == 14
    assert summary(fp8)["quantised"] + summary(fp8)["kept"] == len(before)


def test_the_ratio_is_that_of_the_files(model, fp8):
    sizes = [(c.directory / "model.safetensors").stat().st_size for c in (model, fp8)]
    figures = summary(fp8)
    assert [figures["bytes_before"], figures["bytes_after"]] == sizes
    assert figures["ratio"] == sizes[1] / sizes[0] < 0.85


def test_it_loads_and_answers_nearly_as_before(model, fp8):
    with torch.no_grad():
        before, after = (c.load("float32")(IDS).logits.float() for c in (model, fp8))
    error = float((after - before).norm() / before.norm())
    assert 0 < error < 0.08
    assert fp8.tokenizer().chat_template == model.tokenizer().chat_template


def test_a_compressed_model_keeps_its_ties(model, fp8):
    network = fp8.load()
    tied = network.lm_head.weight.data_ptr() == network.model.embed_tokens.weight.data_ptr()
    assert tied == model.config()["tie_word_embeddings"]


def test_compressing_again_gives_the_same_bytes_and_leaves_nothing_behind(
    model, fp8, tmp_path, monkeypatch, capfd
):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    capfd.readouterr()
    again = Fp8Dynamic().run(make_stage(tmp_path), model)
    assert not any(Path.cwd().iterdir())
    assert capfd.readouterr() == ("", "")
    files = {file.name for file in fp8.directory.iterdir()}
    assert files == {file.name for file in again.directory.iterdir()}
    assert files == {*model.files(), "compression.json"}
    for name in files:
        assert (again.directory / name).read_bytes() == (fp8.directory / name).read_bytes()


def test_the_forecast_of_fp8_holds(model, fp8):
    spec, facts = Fp8Dynamic().plan_spec(model.spec()), fp8.spec()
    for known in ("parameters", "tokenizer", "has_chat_template"):
        assert getattr(spec, known) == getattr(facts, known)


def test_what_is_quantised_is_not_quantised_again(fp8, tmp_path):
    for component in (Fp8Dynamic(), Bf16()):
        with pytest.raises(InputError, match="already"):
            component.plan_spec(fp8.spec())


def test_leaving_no_layer_to_quantise_is_an_error(model, tmp_path):
    with pytest.raises(InputError, match="no linear layer is left"):
        run_component(Fp8Dynamic(ignore=["re:.*"]), make_stage(tmp_path), model)


def test_ignoring_what_is_not_there_is_refused(model, tmp_path):
    with pytest.raises(SettingError, match="did you mean 'lm_head'"):
        run_component(Fp8Dynamic(ignore=["lm_hed"]), make_stage(tmp_path), model)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_bf16_is_a_cast_of_every_weight(tmp_path, dtype):
    model = make_checkpoint(tmp_path / "model", "qwen2", dtype=dtype)
    stage = make_stage(tmp_path)
    cast = Bf16().run(stage, model)
    expected = {name: tensor.to(torch.bfloat16) for name, tensor in model.tensors()}
    assert all(torch.equal(tensor, expected[name]) for name, tensor in cast.tensors())
    assert cast.load().dtype == torch.bfloat16
    assert cast.spec() == Bf16().plan_spec(model.spec())
    assert summary(cast)["kept"] == (len(expected) if dtype == "bfloat16" else 0)
    assert stage.metrics["ratio"] == pytest.approx(0.5 if dtype == "float32" else 1, abs=0.02)


EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2}


@pytest.mark.parametrize(
    ("family", "reads_back", "problem"),
    [
        ("mixtral", False, "lack model.layers.0.mlp.experts"),
        ("phimoe", False, "lack model.layers.0.mlp.experts"),
        ("gpt2", False, "no linear layer is left"),
        ("olmoe", True, ""),
    ],
)
def test_fp8_refuses_with_the_plan_what_could_not_be_read_back(
    family, reads_back, problem, tmp_path, monkeypatch
):
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4} if family == "gpt2" else EXPERTS
    model = make_checkpoint(tmp_path / "model", family, **sizes)
    if reads_back:
        made = Fp8Dynamic().run(make_stage(tmp_path), model)
        with torch.no_grad():
            actual, expected = (each.load("float32")(IDS).logits for each in (made, model))
        assert float((actual - expected).abs().max()) < 0.1 * float(expected.abs().max())
        return
    with pytest.raises(InputError, match=f"family '{family}' cannot be compressed"):
        Fp8Dynamic().plan_spec(model.spec())
    monkeypatch.setattr("storm_export.fp8.check_family", lambda *_: None)
    with pytest.raises(InputError, match=problem):
        run_component(Fp8Dynamic(), make_stage(tmp_path), model)

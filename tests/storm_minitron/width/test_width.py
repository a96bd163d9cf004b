import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from families import FAMILIES, family_checkpoint
from storm_exp import InputError
from storm_exp.testing import make_stage, run_component
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.width.minitron_width import MinitronWidth
from storm_minitron.width.selection import importance_share, select, top_indices
from storm_minitron.width.widths import Widths
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint

IDS = torch.randint(6, 200, (3, 24), generator=torch.Generator().manual_seed(0))


def logits(network):
    with torch.no_grad():
        return network(IDS).logits


def scan(model, data, folder):
    scanner = ImportanceScanner(seed=0, max_length=64, pad_to_multiple_of=16)
    return scanner.run(make_stage(folder, "importance"), model, data)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    return family_checkpoint(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def importance(model, chats, tmp_path_factory):
    return scan(model, chats, tmp_path_factory.mktemp("importance"))


def plant(model):
    """Kill 8 of 32 channels, 16 of 64 neurons and a head of each group, elsewhere in each layer.

    A dead channel is never written to, a dead neuron never fires. A dead head looks everywhere
    alike, so that little flows out of it, and nobody listens; the others look at single tokens.
    Returns what is alive: channels, neurons and heads by layer.
    """
    draw = torch.Generator().manual_seed(1)
    tensors = load_file(model.directory / "model.safetensors")
    config = model.config()
    dead_channels = torch.randperm(32, generator=draw)[:8]
    tensors["model.embed_tokens.weight"][:, dead_channels] = 0
    alive = {"neurons": [], "heads": []}
    for layer in range(config["num_hidden_layers"]):
        here = f"model.layers.{layer}."
        dead_neurons = torch.randperm(64, generator=draw)[:16]
        dead_heads = 2 * torch.arange(2) + torch.randint(2, (2,), generator=draw)
        rows = [range(8 * head, 8 * head + 8) for head in dead_heads.tolist()]
        queries = torch.tensor([place for row in rows for place in row])
        sharp = torch.tensor([place for place in range(32) if place not in queries])
        fused = f"{here}self_attn.qkv_proj.weight" in tensors
        attention = "qkv_proj" if fused else "q_proj"
        for part in ("weight", "bias"):
            if (name := f"{here}self_attn.{attention}.{part}") in tensors:
                tensors[name][sharp] *= 10
                tensors[name][queries] = 0
        if (name := f"{here}self_attn.q_norm.weight") in tensors:
            tensors[name] += 10
        tensors[f"{here}self_attn.o_proj.weight"][:, queries] = 0
        tensors[f"{here}self_attn.o_proj.weight"][dead_channels] = 0
        tensors[f"{here}mlp.down_proj.weight"][dead_channels] = 0
        if fused:
            tensors[f"{here}mlp.gate_up_proj.weight"][64 + dead_neurons] = 0
        else:
            tensors[f"{here}mlp.up_proj.weight"][dead_neurons] = 0
        alive["neurons"].append(sorted(set(range(64)) - set(dead_neurons.tolist())))
        alive["heads"].append(sorted(set(range(4)) - set(dead_heads.tolist())))
    save_file(tensors, model.directory / "model.safetensors", metadata={"format": "pt"})
    return {"channels": sorted(set(range(32)) - set(dead_channels.tolist())), **alive}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_dead_goes_and_the_logits_stay(family, chats, tmp_path):
    # The epsilon of a norm is the one thing that d and d' channels see differently.
    model = family_checkpoint(tmp_path / "model", family, rms_norm_eps=1e-9)
    alive = plant(model)
    pruner = MinitronWidth(hidden_size=24, intermediate_size=48, heads=2, rescale_norms=True)
    result = pruner.run(make_stage(tmp_path), model, scan(model, chats, tmp_path))
    assert json.loads((result.directory / "kept.json").read_text()) == alive
    before, after = logits(model.load("float32")), logits(result.load("float32"))
    torch.testing.assert_close(after, before, rtol=1e-3, atol=5e-4 * float(before.std()))
    config = result.config()
    assert (config["head_dim"], config["num_key_value_heads"]) == (8, 2)


def cut_by_hand(model, kept, after):
    """The pruned tensors by the names of the modules, without the table of dimensions."""
    hidden = torch.tensor(kept["channels"])
    config = model.config()
    query_rows, cut = config["num_attention_heads"] * 8, {}
    for name, tensor in model.tensors():
        layer = int(name.split(".")[2]) if "layers" in name else 0
        heads = torch.tensor(kept["heads"][layer])
        queries = torch.cat([torch.arange(8 * h, 8 * h + 8) for h in heads.tolist()])
        inner = torch.tensor(kept["neurons"][layer])
        module = name.split(".")[-2]
        if module in ("embed_tokens", "lm_head"):
            tensor = tensor[:, hidden]
        elif module == "q_proj":
            tensor = tensor[queries]
        elif module == "qkv_proj":
            tensor = torch.cat([tensor[queries], tensor[query_rows:]])
        elif module == "o_proj":
            tensor = tensor[:, queries][hidden]
        elif module in ("gate_proj", "up_proj"):
            tensor = tensor[inner]
        elif module == "gate_up_proj":
            tensor = torch.cat([part[inner] for part in tensor.chunk(2)])
        elif module == "down_proj":
            tensor = tensor[hidden][:, inner]
        elif "norm" in module and module not in ("q_norm", "k_norm"):
            tensor = tensor[hidden]
        if module in ("q_proj", "k_proj", "v_proj", "qkv_proj", "gate_proj", "up_proj"):
            tensor = tensor[:, hidden] if tensor.ndim == 2 else tensor
        if module == "gate_up_proj":
            tensor = tensor[:, hidden]
        cut[name] = tensor
    if config["model_type"].startswith("gemma"):
        lost = (32 / 24) ** 0.5
        cut["model.embed_tokens.weight"] = cut["model.embed_tokens.weight"] * lost
        cut["model.norm.weight"] = (1 + cut["model.norm.weight"]) / lost - 1
    from transformers import AutoConfig, AutoModelForCausalLM

    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**after)).float().eval()
    network.set_attn_implementation("eager")  # sdpa would not cap the scores of gemma2
    network.load_state_dict(cut, strict=False)
    network.tie_weights()
    return network


def test_pruned_models_reload_and_compute_what_the_cut_tensors_do(model, importance, tmp_path):
    pruner = MinitronWidth(hidden_size=24, intermediate_size=40, heads=2)
    result = pruner.run(make_stage(tmp_path), model, importance)
    kept = json.loads((result.directory / "kept.json").read_text())
    expected = logits(cut_by_hand(model, kept, result.config()))
    torch.testing.assert_close(logits(result.load("float32")), expected, rtol=1e-5, atol=1e-5)
    assert result.spec() == pruner.plan_spec(model.spec(), importance.spec())
    assert result.tokenizer().chat_template == model.tokenizer().chat_template


def test_ties_are_cut_once_and_stay(model, importance, tmp_path):
    result = MinitronWidth(hidden_size=24).run(make_stage(tmp_path), model, importance)
    assert ("lm_head.weight" in result.headers()) == ("lm_head.weight" in model.headers())
    network = result.load()
    tied = network.lm_head.weight.data_ptr() == network.model.embed_tokens.weight.data_ptr()
    assert tied == ("lm_head.weight" not in model.headers())


def test_the_report_of_a_pruning_says_what_was_kept(model, importance, tmp_path):
    stage = make_stage(tmp_path)
    result = MinitronWidth(hidden_ratio=0.75, heads=2).run(stage, model, importance)
    content = json.loads((result.directory / "pruning.json").read_text())
    axes = {axis["name"]: axis for axis in content["axes"]}
    assert (axes["channels"]["before"], axes["channels"]["after"]) == (32, 24)
    assert axes["neurons"]["importance_held"] == [1, 1, 1]
    assert 0.5 <= axes["heads"]["importance_held"][0] < 1
    assert content["parameters"] == [model.spec().parameters, result.spec().parameters]
    assert stage.metrics["share kept"] == content["parameters"][1] / content["parameters"][0]


def test_bf16_weights_are_cut_bit_by_bit(chats, tmp_path):
    model = make_checkpoint(tmp_path / "model", "llama")
    result = MinitronWidth(hidden_size=16, intermediate_size=32).run(
        make_stage(tmp_path), model, scan(model, chats, tmp_path)
    )
    kept = json.loads((result.directory / "kept.json").read_text())
    gate = "model.layers.1.mlp.gate_proj.weight"
    expected = model.tensor(gate)[kept["neurons"][1]][:, kept["channels"]]
    assert torch.equal(result.tensor(gate), expected)
    assert {dtype for dtype, _ in result.headers().values()} == {"BF16"}


def test_one_scan_serves_every_target(model, importance, tmp_path):
    kept = []
    for ratio in (0.75, 0.5):
        stage = make_stage(tmp_path, str(ratio))
        MinitronWidth(hidden_ratio=ratio).run(stage, model, importance)
        kept.append(json.loads((stage.directory / "kept.json").read_text())["channels"])
    assert set(kept[1]) < set(kept[0])


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.data())
def test_every_group_keeps_as_many_heads_and_its_best(groups, size, layers, data):
    keep = data.draw(st.integers(1, size))
    values = torch.rand(layers, groups * size, dtype=torch.float64)
    importances = {
        "channels": torch.rand(3),
        "neurons": torch.rand(layers, 3),
        "heads": values,
    }
    kept = select(importances, Widths(2, 2, groups * keep), groups).heads
    for layer in range(layers):
        for group in range(groups):
            own = [h for h in kept[layer].tolist() if h // size == group]
            rest = set(range(group * size, group * size + size)) - set(own)
            assert len(own) == keep
            worst = min(float(values[layer, h]) for h in own)
            assert all(float(values[layer, h]) <= worst for h in rest)
        assert kept[layer].tolist() == sorted(kept[layer].tolist())


def test_the_first_of_equals_stays():
    assert top_indices(torch.zeros(5), 2).tolist() == [0, 1]
    assert importance_share(torch.tensor([1.0, 3.0]), torch.tensor([1])) == [0.75]
    assert importance_share(torch.zeros(2), torch.tensor([0])) == [0]


def test_importances_of_another_model_are_refused(model, importance, tmp_path):
    other = family_checkpoint(tmp_path / "other", "llama", intermediate_size=72)
    pruner = MinitronWidth(hidden_size=16)
    with pytest.raises(InputError, match="model with other tensor shapes"):
        pruner.plan_spec(other.spec(), importance.spec())
    with pytest.raises(InputError, match="model with other tensor shapes"):
        run_component(pruner, make_stage(tmp_path), other, importance)


def test_a_runtime_that_guesses_the_head_size_is_warned_of(chats, tmp_path, capsys):
    model = make_checkpoint(tmp_path / "model", "qwen2")
    assert isinstance(model, Checkpoint)
    importance = scan(model, chats, tmp_path)
    MinitronWidth(hidden_size=16).run(make_stage(tmp_path, "narrow"), model, importance)
    assert "other programs may not" in "".join(capsys.readouterr())
    MinitronWidth(intermediate_size=16).run(make_stage(tmp_path, "thin"), model, importance)
    assert "other programs may not" not in "".join(capsys.readouterr())

import json
import math

import pytest
import torch

from families import FAMILIES, family_checkpoint
from storm_data.dataset import DatasetSpec
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_minitron.calibration.samples import Sample, make_batches, read_samples
from storm_minitron.calibration.settings import CalibrationSettings
from storm_minitron.depth.block_importance import BlockImportanceSpec
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.depth.block_removal import WHOLE, score_runs
from storm_minitron.depth.minitron_depth import Criterion, MinitronDepth, least_important
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_models.checkpoint.spec import CheckpointSpec

SETTINGS = CalibrationSettings(batch_size=4, pad_to_multiple_of=16, max_length=64)
LLAMA_8B = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
SCAN = {
    "layers": 3,
    "candidates": [
        {"first": 0, "count": 2, "loss": 3.0, "token_accuracy": 0.4, "exact_match": 0.2},
        {"first": 1, "count": 2, "loss": 2.0, "token_accuracy": 0.3, "exact_match": 0.2},
        {"first": 0, "count": 1, "loss": 2.0, "token_accuracy": 0.3, "exact_match": 0.1},
        {"first": 1, "count": 1, "loss": math.nan, "token_accuracy": 0.3, "exact_match": 0.2},
        {"first": 2, "count": 1, "loss": 3.0, "token_accuracy": 0.3, "exact_match": 0.2},
    ],
    "influence": [[0.5, 0.9, 1.0], [0.4, 0.1], [0.3]],
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return family_checkpoint(folder, request.param, num_hidden_layers=4)


@pytest.fixture(scope="module")
def scan(model, chats, tmp_path_factory):
    scanner = BlockImportanceScanner(
        seed=0, counts=[2, 1], batch_size=4, pad_to_multiple_of=16, max_length=64
    )
    return scanner.run(make_stage(tmp_path_factory.mktemp("scan")), model, chats)


def scored(network, samples):
    """Loss, share of right tokens and of right answers, row by row and without padding."""
    losses, right, exact = [], [], []
    for sample in samples:
        ids = torch.tensor([sample.input_ids])
        with torch.no_grad():
            logs = network(ids).logits[0].double().log_softmax(dim=-1)
        told = [place for place, marked in enumerate(sample.answer) if marked]
        losses += [-float(logs[place - 1, sample.input_ids[place]]) for place in told]
        hits = [int(logs[place - 1].argmax()) == sample.input_ids[place] for place in told]
        right += hits
        exact.append(all(hits))
    return {
        "loss": sum(losses) / len(losses),
        "token_accuracy": sum(right) / len(right),
        "exact_match": sum(exact) / len(exact),
    }


def test_candidates_score_as_the_pruned_models_do(model, chats, scan, tmp_path):
    samples, _ = read_samples(chats, "validation", model, SETTINGS, 0, whole=True)
    content = scan.content()
    assert content["whole"] == pytest.approx(scored(model.load("float32"), samples), rel=1e-4)
    assert [(c["first"], c["count"]) for c in content["candidates"]] == [
        *((first, 1) for first in range(4)),
        *((first, 2) for first in range(3)),
    ]
    for candidate in content["candidates"]:
        first, count = candidate.pop("first"), candidate.pop("count")
        pruner = MinitronDepth(drop=list(range(first, first + count)))
        stage = make_stage(tmp_path, f"{first}-{count}")
        expected = scored(pruner.run(stage, model).load("float32"), samples)
        assert candidate == pytest.approx(expected, rel=1e-4)


def test_block_influence_is_the_mean_angle_between_what_enters_and_leaves(model, chats, scan):
    samples, _ = read_samples(chats, "validation", model, SETTINGS, 0, whole=True)
    network = model.load("float32")
    layers, states = network.model.layers, []
    for layer in layers:
        layer.register_forward_pre_hook(lambda module, args: states.append(args[0]))
    network.model.norm.register_forward_pre_hook(lambda module, args: states.append(args[0]))
    cosines = {}
    for sample in samples:
        states.clear()
        with torch.no_grad():
            network(torch.tensor([sample.input_ids]))
        for first in range(4):
            for last in range(first + 1, 5):
                one, two = states[first][0].double(), states[last][0].double()
                similar = torch.nn.functional.cosine_similarity(one, two, dim=-1)
                cosines.setdefault((first, last), []).extend(similar.tolist())
    influence = scan.content()["influence"]
    assert [len(row) for row in influence] == [4, 3, 2, 1]
    for (first, last), values in cosines.items():
        expected = 1 - sum(values) / len(values)
        assert influence[first][last - first - 1] == pytest.approx(expected, abs=1e-5)


def test_answers_that_a_model_would_give_count_as_exact(tmp_path):
    model = family_checkpoint(tmp_path, "llama")
    network = model.load("float32")
    prompt = list(range(10, 20))
    with torch.no_grad():
        written = network.generate(
            torch.tensor([prompt]), max_new_tokens=5, do_sample=False, eos_token_id=None
        )[0].tolist()
    answer = [False] * 10 + [True] * 5
    wrong = [*written[:-1], (written[-1] + 1) % 200]
    samples = [Sample(written, answer), Sample(wrong, answer), Sample(prompt, [False] * 10)]
    scores, _ = score_runs(network, [], make_batches(samples, SETTINGS, "cpu", {}))
    assert scores[WHOLE]["exact_match"] == 0.5
    assert scores[WHOLE]["token_accuracy"] == 0.9


def test_a_scan_is_repeated_bit_by_bit_and_forecast(model, chats, scan, tmp_path):
    scanner = BlockImportanceScanner(
        seed=0, counts=[1, 2], batch_size=4, pad_to_multiple_of=16, max_length=64
    )
    again = scanner.run(make_stage(tmp_path), model, chats)
    files = [each.directory / "blocks.json" for each in (scan, again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert scan.spec() == scanner.plan_spec(model.spec(), chats.spec())
    assert scan.spec().summary() == "runs of 1, 2 of 4 layers"


def test_hidden_states_that_overflow_are_refused(chats, tmp_path):
    from safetensors.torch import load_file, save_file

    model = family_checkpoint(tmp_path / "model", "llama")
    tensors = load_file(model.directory / "model.safetensors")
    tensors["model.layers.1.mlp.down_proj.weight"] *= 1e6
    save_file(tensors, model.directory / "model.safetensors", metadata={"format": "pt"})
    for name in ("float32", "float16"):
        for scanner in (
            BlockImportanceScanner(seed=0, max_length=64, dtype=name),
            ImportanceScanner(seed=0, max_length=64, dtype=name),
        ):
            stage = make_stage(tmp_path, f"{name} {type(scanner).__name__}")
            if name == "float32":
                scanner.run(stage, model, chats)
                continue
            with pytest.raises(SettingError, match=r"dtype='float16': .*NaN or infinity"):
                scanner.run(stage, model, chats)


def test_without_counts_only_the_influence_is_measured(chats, scan, model, tmp_path):
    scanner = BlockImportanceScanner(seed=0, max_length=64)
    quick = scanner.run(make_stage(tmp_path), model, chats).content()
    assert quick["candidates"] == []
    for one, two in zip(quick["influence"], scan.content()["influence"], strict=True):
        assert one == pytest.approx(two, abs=1e-5)


def test_documents_score_every_token(documents, tmp_path):
    model = family_checkpoint(tmp_path / "model", "llama")
    scanner = BlockImportanceScanner(seed=0, counts=[1], max_length=100)
    content = scanner.run(make_stage(tmp_path), model, documents).content()
    samples, _ = read_samples(documents, "validation", model, SETTINGS, 0)
    assert content["answer_tokens"] == sum(len(sample.input_ids) - 1 for sample in samples)


@pytest.mark.parametrize("by", Criterion)
def test_the_pruned_model_is_the_one_that_the_scan_says(by, model, scan, tmp_path):
    pruner = MinitronDepth(layers=2, by=by)
    result = pruner.run(make_stage(tmp_path), model, scan)
    first = least_important(scan.content(), 2, by)
    kept = [layer for layer in range(4) if layer not in (first, first + 1)]
    record = json.loads((result.directory / "pruning.json").read_text())
    assert record["dropped"] == [first, first + 1]
    assert record["by"] == by.value
    surgery = json.loads((result.directory / "surgery.json").read_text())
    assert surgery == {"source_layers": kept, "new_layers": []}
    spec, facts = pruner.plan_spec(model.spec(), scan.spec()), result.spec()
    assert (spec.parameters, spec.shapes) == (facts.parameters, facts.shapes)
    unknown = {"layer_types", "max_window_layers"}
    assert {k: v for k, v in facts.config.items() if k not in unknown} == spec.config


@pytest.mark.parametrize(
    ("count", "by", "first"),
    [
        (2, Criterion.exact_match, 1),
        (2, Criterion.token_accuracy, 0),
        (2, Criterion.perplexity, 1),
        (2, Criterion.block_influence, 1),
        (1, Criterion.exact_match, 2),
        (1, Criterion.perplexity, 0),
        (1, Criterion.block_influence, 2),
        (3, Criterion.block_influence, 0),
    ],
)
def test_the_least_important_run_by_each_criterion(count, by, first):
    assert least_important(SCAN, count, by) == first


def test_a_layer_that_adds_nothing_is_the_one_that_goes(chats, tmp_path):
    from safetensors.torch import load_file, save_file

    model = family_checkpoint(tmp_path / "model", "llama", num_hidden_layers=4)
    file = model.directory / "model.safetensors"
    tensors = load_file(file)
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        tensors[f"model.layers.2.{name}.weight"].zero_()
    save_file(tensors, file, metadata={"format": "pt"})
    scanner = BlockImportanceScanner(seed=0, counts=[1], max_length=64)
    scan = scanner.run(make_stage(tmp_path, "scan"), model, chats)
    result = MinitronDepth(layers=3, by=Criterion.block_influence).run(
        make_stage(tmp_path), model, scan
    )
    assert json.loads((result.directory / "pruning.json").read_text())["dropped"] == [2]
    ids = torch.arange(6, 40)[None]
    with torch.no_grad():
        before, after = (each.load("float32")(ids).logits for each in (model, result))
    torch.testing.assert_close(before, after)


def test_the_published_depth_pruning_is_planned_from_the_config_alone():
    pruner = MinitronDepth(layers=16, first=15)
    assert pruner.dropped(32) == list(range(15, 31))
    assert pruner.kept(32) == [*range(15), 31]
    spec = pruner.plan_spec(CheckpointSpec(config=LLAMA_8B))
    assert spec.parameters == 4_540_469_248
    assert pruner.idle_ports() == {"importance"} == MinitronDepth(drop=[3]).idle_ports()
    assert MinitronDepth(layers=16).idle_ports() == set()


def test_shares_of_the_depth_are_rounded():
    assert MinitronDepth(layers_ratio=0.5, first=0).kept(5) == [3, 4]
    assert MinitronDepth(layers_ratio=0.01, first=0).kept(5) == [4]
    assert MinitronDepth(drop=[4, 0]).kept(5) == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one of layers, layers_ratio and drop"),
        (
            {"layers": 3, "layers_ratio": 0.5},
            r"layers=3: layers_ratio=0.5 is set too: unset it \(layers_ratio=null\)",
        ),
        ({"layers": 0}, "at least 1"),
        ({"layers_ratio": 1.0}, "above 0 and below 1"),
        ({"drop": [2, 1, 1], "layers_ratio": 0.5}, "names layer 1 more than once"),
        ({"drop": [-1]}, "at least 0"),
        (
            {"drop": [1], "layers_ratio": 0.5, "first": 0},
            "names the layers already, and layers_ratio=0.5, first=0 is set too: unset it "
            r"\(layers_ratio=null first=null\)",
        ),
        ({"drop": [32]}, "the layers are 0 to 31"),
        ({"drop": list(range(32))}, "leaves nothing"),
        ({"layers": 32, "first": 0}, "fewer than the model's 32"),
        ({"layers_ratio": 0.99, "first": 0}, "keeps all of 32"),
        ({"layers": 16, "first": 17}, "16 layers are dropped, so it must be between 0 and 16"),
        ({"layers": 16, "first": -1}, "at least 0"),
    ],
)
def test_depths_that_make_no_sense_are_refused_at_plan_time(settings, message):
    with pytest.raises(SettingError, match=message):
        MinitronDepth(**settings).plan_spec(CheckpointSpec(config=LLAMA_8B))


@pytest.mark.parametrize(
    ("scan", "message"),
    [
        (None, "which layers to drop is not known"),
        (
            {"counts": [8, 12]},
            "16 layers are to be dropped, but the scan removes runs of 8, 12: add 16",
        ),
        ({"counts": []}, "the scan removes runs of no length"),
        ({"shapes": "others"}, "model of other shapes"),
    ],
)
def test_scans_that_do_not_serve_are_refused_at_plan_time(scan, message):
    model = CheckpointSpec(config=LLAMA_8B, shapes="ours")
    spec = None if scan is None else BlockImportanceSpec(**scan)
    with pytest.raises(InputError, match=message):
        MinitronDepth(layers=16).plan_spec(model, spec)
    by = MinitronDepth(layers=16, by=Criterion.block_influence)
    assert by.plan_spec(model, BlockImportanceSpec(counts=[])).parameters == 4_540_469_248


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([0], "at least 1"),
        ([2, 2], "different"),
        ([4, 32], "leaves nothing of 32 layers; at most 31"),
    ],
)
def test_counts_that_make_no_sense_are_refused_at_plan_time(counts, message):
    model = CheckpointSpec(config=LLAMA_8B)
    with pytest.raises(SettingError, match=message):
        BlockImportanceScanner(seed=0, counts=counts).plan_spec(model, DatasetSpec())

import json

import pytest
import torch

from families import FAMILIES, family_checkpoint
from storm_exp import SettingError
from storm_exp.testing import make_stage
from storm_inference.calibration.samples import Sample, read_samples
from storm_minitron.calibration.batches import make_batches
from storm_minitron.calibration.settings import CalibrationSettings
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.depth.block_removal import WHOLE, score_runs
from storm_minitron.depth.minitron_depth import Criterion, MinitronDepth, least_important
from storm_minitron.width.importance_scanner import ImportanceScanner

SETTINGS = CalibrationSettings(batch_size=4, pad_to_multiple_of=16, max_length=64)


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
        answer_positions = [place for place, marked in enumerate(sample.answer) if marked]
        losses += [-float(logs[place - 1, sample.input_ids[place]]) for place in answer_positions]
        hits = [
            int(logs[place - 1].argmax()) == sample.input_ids[place] for place in answer_positions
        ]
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

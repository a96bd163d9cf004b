import math

import pytest

from families import LLAMA_8B
from storm_data.dataset import DatasetSpec
from storm_exp import InputError, SettingError
from storm_minitron.depth.block_importance import BlockImportanceSpec
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.depth.minitron_depth import Criterion, MinitronDepth, least_important
from storm_models.checkpoint.spec import CheckpointSpec

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
        ({"shapes": "others"}, "model with other tensor shapes"),
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

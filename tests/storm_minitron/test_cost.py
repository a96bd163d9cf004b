"""What a plan says that a scan takes, against the operations that torch counts."""

import pytest
from torch.utils.flop_counter import FlopCounterMode

from families import family_checkpoint
from storm_data.dataset import DatasetSpec
from storm_inference.calibration.samples import Sample
from storm_minitron.calibration.batches import make_batches
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.depth.block_removal import score_runs
from storm_minitron.width.activations import measure
from storm_minitron.width.importance_scanner import ImportanceScanner

ROWS, LENGTH, LAYERS = 4, 40, 5
DATA = DatasetSpec(splits={"train": [ROWS, ROWS], "validation": [ROWS, ROWS]}, row_tokens=LENGTH)
SHAPES = {"batch_size": 2, "pad_to_multiple_of": 1, "max_length": 64}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return family_checkpoint(tmp_path_factory.mktemp("llama"), "llama", num_hidden_layers=LAYERS)


@pytest.fixture
def network(model):
    network = model.load("float32")
    network.set_attn_implementation("eager")  # torch counts no flash kernel on a CPU
    return network


def batches(settings):
    answer = [False] + [True] * (LENGTH - 1)
    samples = [Sample(list(range(row, row + LENGTH)), answer) for row in range(ROWS)]
    return make_batches(samples, settings, "cpu", {})


def test_importance_costs_a_pass_without_the_head(model, network):
    scanner = ImportanceScanner(seed=0, **SHAPES)
    with FlopCounterMode(display=False) as counter:
        measure(network, 8, batches(scanner))
    expected = scanner.cost(model.spec(), DATA).flops
    assert expected == pytest.approx(counter.get_total_flops(), rel=0.02)


@pytest.mark.parametrize("counts", [[], [1], [2, 4]])
def test_a_candidate_costs_the_layers_behind_it_and_a_head(model, network, counts):
    scanner = BlockImportanceScanner(seed=0, counts=counts, **SHAPES)
    runs = [(first, count) for count in counts for first in range(LAYERS - count + 1)]
    with FlopCounterMode(display=False) as counter:
        score_runs(network, runs, batches(scanner))
    expected = scanner.cost(model.spec(), DATA).flops
    assert expected == pytest.approx(counter.get_total_flops(), rel=0.03)

"""Rotary factors follow each document's own length, in every kind of row that holds several.

The oracle is transformers itself, on a model that reads one document and nothing before it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from storm_evaluation.harness.language_model import HarnessModel
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_inference.calibration.samples import Sample
from storm_inference.label_scorer import LabelScorer
from storm_minitron.calibration.batches import make_batches
from storm_minitron.calibration.settings import CalibrationSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.families.rope import reading, short_context
from storm_models.families.rotary import document_lengths
from storm_models.testing import make_checkpoint
from storm_training.attention.implementation import attention, choose_attention
from storm_training.data.packing import build_batch, pack
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.trainer import train
from storm_training.objectives.objective import next_token_loss
from storm_training.references.scoring import score_pairs
from storm_training.testing import small_settings

CONTEXT = 16
LENGTHS = (5, 9, 30, 12, 16, 17, 24, 7)
LONGROPE: dict[str, Any] = {
    "max_position_embeddings": 64,
    "original_max_position_embeddings": CONTEXT,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0, 1.3, 1.1, 1.0],
        "long_factor": [1.0, 4.0, 8.0, 16.0],
        "original_max_position_embeddings": CONTEXT,
    },
}
DYNAMIC: dict[str, Any] = {
    "max_position_embeddings": CONTEXT,
    "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
}


@pytest.fixture(scope="module", params=["longrope", "dynamic"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    family, sizes = {"longrope": ("phi3", LONGROPE), "dynamic": ("llama", DYNAMIC)}[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    return make_checkpoint(folder, family, dtype="float32", initializer_range=0.5, **sizes)


def sequences() -> TokenSequences:
    draw = np.random.default_rng(0)
    return TokenSequences.collect((draw.integers(5, 200, length), None) for length in LENGTHS)


@torch.no_grad()
def alone(model: Checkpoint, ids: np.ndarray) -> torch.Tensor:
    """Return log-probabilities [tokens, vocabulary] of a document, by a model fresh from disk."""
    network = AutoModelForCausalLM.from_pretrained(model.directory, dtype=torch.float32).eval()
    logits = network(torch.tensor(ids[None].astype(np.int64)), use_cache=False).logits[0]
    return logits.log_softmax(-1)


def losses_alone(model: Checkpoint) -> list[float]:
    losses = []
    for index in range(len(LENGTHS)):
        ((ids, _),) = sequences().example(index)
        logs = alone(model, ids)
        losses.append(float(-sum(logs[place, token] for place, token in enumerate(ids[1:]))))
    return losses


def test_the_oracle_tells_readings_apart(model: Checkpoint) -> None:
    """Without the remedy a long document in a row moves the losses of short ones."""
    rows = pack(np.array(LENGTHS), np.arange(len(LENGTHS)), 64)
    network = AutoModelForCausalLM.from_pretrained(model.directory, dtype=torch.float32).eval()
    with torch.no_grad():
        losses = [next_token_loss(network, build_batch(sequences(), [row])) for row in rows]
    assert abs(float(sum(losses)) - sum(losses_alone(model))) > 0.5


@pytest.mark.parametrize("kernel", ["documents", "sdpa", "eager"])
@torch.no_grad()
def test_packed_documents_are_read_as_alone(kernel: str, model: Checkpoint) -> None:
    network = model.load("float32")
    name = choose_attention(kernel, network, "cpu", "float32")
    expected = sum(losses_alone(model))
    for capacity in (30, 64, 120):
        rows = pack(np.array(LENGTHS), np.arange(len(LENGTHS)), capacity)
        parts = [rows[start : start + 2] for start in range(0, len(rows), 2)]
        batches = [build_batch(sequences(), part) for part in parts]
        with attention(network, name):
            loss = sum(float(next_token_loss(network, batch)) for batch in batches)
        assert loss == pytest.approx(expected, rel=1e-5)


def test_training_and_validation_start_from_the_losses_of_documents_alone(
    model: Checkpoint, tmp_path: Path
) -> None:
    tokens = sum(LENGTHS) - len(LENGTHS)
    settings = small_settings(steps=1, sequence_length=64, batch_size=4, learning_rate=1e-9)
    log = train(
        model.load("float32"),
        sequences(),
        settings,
        make_stage(tmp_path),
        validation=sequences(),
    )
    expected = sum(losses_alone(model)) / tokens
    assert log.validation[0]["loss"] == pytest.approx(expected, rel=1e-5)
    assert log.steps[0]["loss"] == pytest.approx(expected, rel=1e-5)


def test_pairs_are_scored_as_alone(model: Checkpoint, tmp_path: Path) -> None:
    pairs = TokenSequences(sequences().parts, sequences().spans, sequences_per_example=2)
    scores = score_pairs(make_stage(tmp_path), model, pairs, length=64, rows=2, precision="float32")
    assert (-scores.flatten()).tolist() == pytest.approx(losses_alone(model), rel=1e-5)


@torch.no_grad()
def test_padded_rows_of_calibration_are_read_as_alone(model: Checkpoint) -> None:
    samples = [
        Sample(ids.tolist(), [True] * len(ids))
        for ((ids, _),) in (sequences().example(i) for i in range(8))
    ]
    settings = CalibrationSettings(batch_size=8, pad_to_multiple_of=8, max_length=64)
    network = model.load("float32")
    read = 0
    for batch in make_batches(samples, settings, "cpu", model.config()):
        logs = network(**batch.inputs(), use_cache=False).logits.log_softmax(-1)
        for row, ids in enumerate(batch.input_ids_RT):
            length = int(batch.counted_RT[row].sum())
            if length:  # a row that only fills the batch counts nothing
                expected = alone(model, ids[:length].numpy())
                assert torch.allclose(logs[row, :length], expected, atol=1e-4)
                read += length
    assert read == sum(LENGTHS)


def test_held_out_rows_are_scored_as_alone(model: Checkpoint, tmp_path: Path) -> None:
    harness = HarnessModel(
        model.load("float32"),
        model.tokenizer(),
        None,
        make_stage(tmp_path),
        batch_size=4,
        max_length=64,
    )
    rows = [ids.tolist() for ((ids, _),) in (sequences().example(i) for i in range(8))]
    scores = harness.score_tokens([(ids[:1], ids[1:]) for ids in rows])
    expected = []
    for ids in rows:
        logs = alone(model, np.array(ids[:-1]))  # the last token is not read
        expected.append(float(sum(logs[place, token] for place, token in enumerate(ids[1:]))))
    assert scores == pytest.approx(expected, rel=1e-5)


def test_a_judge_refuses_prompts_that_it_would_read_otherwise(model: Checkpoint) -> None:
    scorer = LabelScorer(model.load("float32"), rows=2, step=8)
    short, long = list(range(5, 5 + CONTEXT)), list(range(5, 6 + CONTEXT))
    assert scorer.score([[short]], [[3, 4]])
    with pytest.raises(InputError, match=f"longer than {CONTEXT}, .*lower max_length"):
        scorer.score([[long]], [[3, 4]])


def test_lengths_are_those_of_runs() -> None:
    positions = torch.tensor([[0, 1, 2, 0, 1, 0], [3, 4, 0, 1, 2, 3]])
    assert document_lengths(positions).tolist() == [[3, 3, 3, 2, 2, 1], [5, 5, 4, 4, 4, 4]]


def test_configs_say_how_far_length_does_not_matter() -> None:
    old = {"type": "longrope", "short_factor": [1.0]}
    assert short_context({"rope_scaling": old, "original_max_position_embeddings": 8}) == 8
    assert short_context({"rope_scaling": {"rope_type": "llama3"}}) is None
    assert short_context({}) is None
    assert [reading(LONGROPE, n) for n in (1, 16, 17, 40)] == [0, 0, 1, 1]
    assert [reading(DYNAMIC, n) for n in (1, 16, 17, 40)] == [0, 0, 17, 40]

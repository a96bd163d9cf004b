"""DPO against its formula on transformers' own logits."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from storm_data.dataset import Dataset
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.testing import make_checkpoint
from storm_training.components.dpo import Dpo
from storm_training.data.packing import build_batch, pack
from storm_training.data.preference_tokens import PreferenceTokenSet
from storm_training.data.reference_log_probs import ReferenceLogProbs, ReferenceLogProbsSpec
from storm_training.data.token_set import TokenSetSpec
from storm_training.objectives.preference import Preference
from storm_training.references.reference_scorer import ReferenceScorer

FEW = {
    "steps": 12,
    "sequence_length": 96,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "precision": "float32",
    "seed": 0,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("model"), dtype="float32")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("pairs")
    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    columns = [("id", pa.string()), ("prompt", message), ("chosen", message), ("rejected", message)]
    data = Dataset(folder)
    for split, count in (("train", 24), ("validation", 6)):
        rows = [
            {
                "id": str(n),
                "prompt": [{"role": "user", "content": "say " + "a" * (n % 7)}],
                "chosen": [{"role": "assistant", "content": "yes" * (1 + n % 3)}],
                "rejected": [{"role": "assistant", "content": "no" * (1 + n % 4)}],
            }
            for n in range(count)
        ]
        data.write(split, rows, pa.schema(columns))
    return PreferenceTokenSet().run(make_stage(folder, "tokens"), model, data)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, model, tokens):
    scorer = ReferenceScorer(sequence_length=96, batch_size=3, precision="float32")
    return scorer.run(make_stage(tmp_path_factory.mktemp("reference")), model, tokens)


def answers(network, tokens, split) -> torch.Tensor:
    """Return Σ log p of the supervised tokens, [pairs, 2], one unpadded sequence at a time."""
    sequences, log_probs = tokens.sequences(split), []
    for index in range(len(sequences)):
        for ids, loss_mask in sequences.example(index):
            ids = torch.from_numpy(np.array(ids)).long()
            logits = network(input_ids=ids[None]).logits[0, :-1].log_softmax(1)
            scores = logits.gather(1, ids[1:, None]).squeeze(1)
            log_probs.append(scores[torch.from_numpy(np.array(loss_mask[1:]))].sum())
    return torch.stack(log_probs).view(-1, 2)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_reference_scores_are_those_of_separate_sequences(model, tokens, reference, split):
    with torch.no_grad():
        expected = answers(model.load("float32"), tokens, split)
    assert torch.allclose(reference.read(split, tokens), expected, atol=1e-4)


@pytest.mark.parametrize(
    "more", [{}, {"smoothing": 0.2}, {"sft_weight": 0.5}], ids=["plain", "smoothed", "with sft"]
)
def test_loss_and_gradients_follow_the_formula(tmp_path, model, tokens, reference, more):
    other = make_checkpoint(tmp_path / "other", dtype="float32", seed=5)
    network, beta = other.load("float32").train(), 0.3
    held = reference.read("train", tokens)
    objective = Preference(held, None, beta=beta, **more)
    objective.prepare(np.arange(24), None)
    sequences = tokens.sequences("train")
    rows = pack(sequences.lengths(), np.arange(24), 96)
    batch = build_batch(sequences, rows)
    loss = objective.loss(network, batch)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    pairs = answers(network, tokens, "train")
    margin = beta * ((pairs - held)[:, 0] - (pairs - held)[:, 1])
    wrong = more.get("smoothing", 0.0)
    expected = -(1 - wrong) * functional.logsigmoid(margin)
    expected = expected - wrong * functional.logsigmoid(-margin)
    if "sft_weight" in more:
        lengths = [np.count_nonzero(sequences.example(i)[0][1][1:]) for i in range(24)]
        expected = expected - more["sft_weight"] * pairs[:, 0] / torch.tensor(lengths)
    expected.sum().backward()
    assert float(loss.detach()) == pytest.approx(float(expected.sum().detach()), rel=1e-5)
    for name, parameter in network.named_parameters():
        assert torch.allclose(gradients[name], parameter.grad, rtol=1e-3, atol=1e-5), name
    right, count = objective.figures()["accuracy"]
    assert (right, count) == (int((margin > 0).sum()), 24)
    assert objective.count(batch) == 24


def test_training_prefers_what_was_chosen_and_keeps_one_model(tmp_path, model, tokens, reference):
    stage = make_stage(tmp_path)
    result = Dpo(**FEW, validation_every=6).run(stage, model, tokens, reference)
    record = json.loads((result.directory / "training.json").read_text())
    assert record["objective"] == "dpo" and record["counts"] == "pairs"
    assert record["steps"][0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert record["validation"][0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert record["steps"][-1]["accuracy"] == 1.0
    assert record["validation"][-1]["loss"] < 0.5
    assert record["steps"][-1]["margin"] > 0.5


def test_only_the_used_pairs_meet_their_own_reference(tmp_path, model, tokens, reference):
    lengths = tokens.sequences("train").lengths()
    limit = int(np.median(lengths))
    settings = Dpo(**{**FEW, "steps": 1, "sequence_length": limit})
    result = settings.run(make_stage(tmp_path), model, tokens, reference)
    record = json.loads((result.directory / "training.json").read_text())
    assert record["rows"]["used"] == int((lengths <= limit).sum()) < 24
    assert record["steps"][0]["loss"] == pytest.approx(np.log(2), abs=1e-4)


def test_scores_of_other_pairs_are_refused(tmp_path, model, tokens, reference):
    (tmp_path / "scores.json").write_text('{"tokens": "another", "tokenizer": ""}')
    with pytest.raises(InputError, match="scored other pairs"):
        ReferenceLogProbs(tmp_path).read("train", tokens)


def test_what_cannot_work_fails_in_the_forecast():
    pairs = TokenSetSpec(kind="preferences", tokenizer="a")
    with pytest.raises(InputError, match="takes tokenised preferences, not chats"):
        Dpo(**FEW).plan_spec(CheckpointSpec(), TokenSetSpec(kind="chats"), ReferenceLogProbsSpec())
    with pytest.raises(InputError, match="reference scored tokens of another tokenizer"):
        Dpo(**FEW).plan_spec(CheckpointSpec(), pairs, ReferenceLogProbsSpec(tokenizer="b"))
    with pytest.raises(InputError, match="scores tokenised preferences"):
        ReferenceScorer().plan_spec(CheckpointSpec(), TokenSetSpec(kind="chats"))
    for name, value in (("beta", 0.0), ("smoothing", 0.5), ("sft_weight", -1.0)):
        with pytest.raises(SettingError) as error:
            Dpo(**FEW, **{name: value})
        assert error.value.setting == name

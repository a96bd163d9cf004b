"""Distillation against torch on the whole logits of separate sequences."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage, run_component
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.testing import make_checkpoint
from storm_training.components.distillation import Distillation, layer_pairs
from storm_training.data.packing import IGNORE_INDEX, build_batch, pack
from storm_training.data.token_set import TokenSetSpec
from storm_training.data.top_k_logits import TopKLogitsSpec
from storm_training.objectives.distillation import DistillationObjective
from storm_training.references.top_k_teacher import TopKTeacher
from storm_training.testing import make_chats, tokenise_chats

FEW = {
    "steps": 10,
    "sequence_length": 96,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "precision": "float32",
    "seed": 0,
}


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("student"), dtype="float32")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return make_checkpoint(
        tmp_path_factory.mktemp("teacher"), num_hidden_layers=4, dtype="float32", seed=9
    )


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, student):
    folder = tmp_path_factory.mktemp("data")
    return tokenise_chats(folder / "tokens", student, make_chats(folder / "chats", rows=16))


@pytest.mark.parametrize("hidden_weight", [0.0, 0.5])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_loss_and_gradients_follow_the_formula(
    student, teacher, tokens, temperature, hidden_weight
):
    network, taught = student.load("float32").train(), teacher.load("float32")
    pairs = layer_pairs(2, 4, 2) if hidden_weight else {}
    objective = DistillationObjective(
        taught,
        temperature=temperature,
        kl_weight=0.8,
        ce_weight=0.2,
        hidden_weight=hidden_weight,
        layers=pairs,
    )
    sequences = tokens.sequences("train")
    batch = build_batch(sequences, pack(sequences.lengths(), np.arange(len(sequences)), 96))
    loss = objective.loss(network, batch)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    expected = torch.zeros(())
    for index in range(len(sequences)):
        ids, loss_mask = (torch.from_numpy(np.array(part)) for part in sequences[index])
        ids = ids.long()
        own = network(input_ids=ids[None], output_hidden_states=True)
        with torch.no_grad():
            other = taught(input_ids=ids[None], output_hidden_states=True)
        kept = torch.nonzero(loss_mask[1:]).squeeze(1)
        mine, theirs = own.logits[0, kept], other.logits[0, kept]
        kl = functional.kl_div(
            (mine / temperature).log_softmax(1), (theirs / temperature).softmax(1), reduction="sum"
        )
        expected = expected + 0.8 * temperature**2 * kl
        expected = expected + 0.2 * functional.cross_entropy(
            mine, ids[1:][kept], reduction="sum", ignore_index=IGNORE_INDEX
        )
        if hidden_weight:
            apart = [
                1
                - functional.cosine_similarity(
                    own.hidden_states[one + 1][0, kept],
                    other.hidden_states[two + 1][0, kept],
                    dim=1,
                )
                for one, two in pairs.items()
            ]
            expected = expected + hidden_weight * torch.stack(apart).mean(0).sum()
    expected.backward()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for name, parameter in network.named_parameters():
        assert torch.allclose(gradients[name], parameter.grad, rtol=1e-3, atol=1e-5), name
    assert all(parameter.grad is None for parameter in taught.parameters())


def test_a_student_comes_nearer_to_its_teacher(tmp_path, student, teacher, tokens):
    result = Distillation(**FEW).run(make_stage(tmp_path), student, tokens, teacher)
    record = json.loads((result.directory / "training.json").read_text())
    assert record["objective"] == "distillation"
    assert record["steps"][-1]["kl"] == pytest.approx(record["steps"][-1]["loss"], rel=1e-5)
    assert record["validation"][-1]["loss"] < 0.7 * record["validation"][0]["loss"]


def test_a_student_that_is_its_teacher_has_nothing_to_learn(tmp_path, teacher, tokens):
    result = Distillation(**{**FEW, "steps": 1}).run(make_stage(tmp_path), teacher, tokens, teacher)
    record = json.loads((result.directory / "training.json").read_text())
    assert record["steps"][0]["loss"] == pytest.approx(0, abs=1e-5)


def test_nearly_all_of_the_vocabulary_teaches_what_the_teacher_does(
    tmp_path, student, teacher, tokens
):
    size = student.config()["vocab_size"]
    kept = TopKTeacher(k=size - 1, sequence_length=96, precision="float32")
    answers = kept.run(make_stage(tmp_path, "answers"), teacher, tokens)
    losses = []
    for name, ports in (("whole", {"teacher": teacher}), ("stored", {"answers": answers})):
        result = Distillation(**FEW).run(make_stage(tmp_path, name), student, tokens, **ports)
        record = json.loads((result.directory / "training.json").read_text())
        losses.append([entry["loss"] for entry in record["steps"] + record["validation"]])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_stored_answers_say_how_much_they_cover(tmp_path, teacher, tokens):
    stage = make_stage(tmp_path)
    made = TopKTeacher(k=3, sequence_length=96, precision="float32").run(stage, teacher, tokens)
    assert made.spec() == TopKLogitsSpec(tokenizer=teacher.tokenizer_digest(), k=3)
    sequences, network = tokens.sequences("train"), teacher.load("float32")
    covered = []
    for index in range(len(sequences)):
        ids, loss_mask = (torch.from_numpy(np.array(part)) for part in sequences[index])
        with torch.no_grad():
            logits = network(input_ids=ids[None].long()).logits[0, :-1]
        covered.append(logits[loss_mask[1:]].softmax(1).topk(3, 1).values.sum(1))
        stored = made.open("train", tokens).read(np.array([index]))
        assert torch.allclose(stored.log_probabilities.exp().sum(1), covered[-1], atol=1e-5)
    assert stage.metrics["covered_probability"] == pytest.approx(float(torch.cat(covered).mean()))


def test_what_cannot_work_fails_in_the_forecast():
    model, tokens = CheckpointSpec(tokenizer="a"), TokenSetSpec(kind="chats")
    with pytest.raises(InputError, match="one of the ports 'teacher'"):
        Distillation(**FEW).plan_spec(model, tokens)
    with pytest.raises(InputError, match="different tokenizers"):
        Distillation(**FEW).plan_spec(model, tokens, CheckpointSpec(tokenizer="b"))
    with pytest.raises(SettingError, match="needs the teacher in the loop"):
        Distillation(**FEW, temperature=2.0).plan_spec(model, tokens, answers=TopKLogitsSpec())
    wide, narrow = (CheckpointSpec(config={"hidden_size": size}) for size in (64, 32))
    with pytest.raises(SettingError, match="hidden size is 32, the teacher's 64"):
        Distillation(**FEW, hidden_weight=1.0).plan_spec(narrow, tokens, wide)
    for name, value in (("temperature", 0.0), ("kl_weight", 0.0), ("hidden_layers", 2)):
        with pytest.raises(SettingError) as error:
            Distillation(**FEW, **{name: value})
        assert error.value.setting == name
    with pytest.raises(SettingError, match="put the teacher in the loop"):
        TopKTeacher(k=10).plan_spec(CheckpointSpec(config={"vocab_size": 10}), tokens)


def test_layers_are_paired_at_the_same_share_of_the_depth():
    assert layer_pairs(16, 32, 16) == {n: 2 * n + 1 for n in range(16)}
    assert layer_pairs(4, 8, 2) == {1: 3, 3: 7}
    assert layer_pairs(3, 3, 3) == {0: 0, 1: 1, 2: 2}


def test_a_teacher_of_another_tokenizer_is_refused_when_it_is_known_late(student, tokens, tmp_path):
    other = make_checkpoint(tmp_path / "other", dtype="float32", extra_tokens=("<|more|>",))
    with pytest.raises(InputError, match="different tokenizers"):
        run_component(Distillation(**FEW), make_stage(tmp_path), student, tokens, teacher=other)

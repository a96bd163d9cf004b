"""What a student of a shuffled teacher knows, however its outputs are named afterwards."""

from __future__ import annotations

import json
import string
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp import SettingError
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.components.distillation import Distillation
from storm_training.components.sft import Sft
from storm_training.data.top_k_logits import TopKLogitsSpec
from storm_training.loop.finetuned_checkpoint import write_changed
from storm_training.objectives.teacher_control import TeacherControl
from storm_training.testing import tokenise_chats

FEW = {
    "steps": 150,
    "sequence_length": 96,
    "batch_size": 3,
    "learning_rate": 1e-2,
    "precision": "float32",
    "seed": 0,
}


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return make_checkpoint(tmp_path_factory.mktemp("student"), dtype="float32")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, student):
    """Chats whose every other token depends on what was asked, not on the token before it."""
    folder = tmp_path_factory.mktemp("data")
    data = Dataset(folder)
    for split, count in (("train", 60), ("validation", 12)):
        letters = [string.ascii_lowercase[number % 12] for number in range(count)]
        chats = [
            {
                "id": f"{split}{number}",
                "messages": [
                    {"role": "user", "content": letter},
                    {"role": "assistant", "content": f"-{letter}" * 6},
                ],
                "source": "test",
            }
            for number, letter in enumerate(letters)
        ]
        data.write(split, chats, chat_schema())
    return tokenise_chats(folder / "tokens", student, data)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, student, tokens):
    return Sft(**FEW).run(make_stage(tmp_path_factory.mktemp("teacher")), student, tokens)


def distil(folder, student, tokens, teacher, control=TeacherControl.none) -> Checkpoint:
    return Distillation(**FEW, control=control).run(make_stage(folder), student, tokens, teacher)


def relabelled(teacher: Checkpoint, folder) -> Checkpoint:
    """Return the teacher with the rows of its head in another order, once and for all."""
    head = teacher.tensor("lm_head.weight")
    order = torch.randperm(len(head), generator=torch.Generator().manual_seed(3))
    folder.mkdir()
    return write_changed(teacher, {"lm_head.weight": head[order] - head}, folder)


def agreement(model: Checkpoint, tokens, *, relabel: bool) -> float:
    """Return how often a model's favourite is the right token, after the best new naming.

    The naming is chosen on the very positions that are counted, which favours the model.
    """
    network, sequences = model.load("float32"), tokens.sequences("validation")
    size = network.config.vocab_size
    counts = np.zeros((size, size))
    for index in range(len(sequences)):
        ids, loss_mask = (torch.from_numpy(np.array(part)) for part in sequences[index])
        with torch.no_grad():
            favourites = network(input_ids=ids[None].long()).logits[0].argmax(1)
        kept = torch.nonzero(loss_mask[1:]).squeeze(1)
        np.add.at(counts, (favourites[kept].numpy(), ids[1:][kept].numpy()), 1)
    if not relabel:
        return float(np.trace(counts) / counts.sum())
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / counts.sum())


@pytest.fixture(scope="module")
def students(tmp_path_factory, student, tokens, teacher):
    """Students of the teacher as it is, of one with other names for its tokens, of controls."""
    folder = tmp_path_factory.mktemp("students")
    other = relabelled(teacher, folder / "relabelled")
    return {
        "relabelled": distil(folder / "of_relabelled", student, tokens, other),
        **{
            control.name: distil(folder / control.name, student, tokens, teacher, control)
            for control in TeacherControl
        },
    }


@pytest.mark.slow
def test_an_order_that_stays_the_same_is_learnt_under_other_names(tokens, teacher, students):
    assert agreement(teacher, tokens, relabel=False) > 0.95
    assert agreement(students["none"], tokens, relabel=False) > 0.9
    assert agreement(students["relabelled"], tokens, relabel=False) < 0.2
    assert agreement(students["relabelled"], tokens, relabel=True) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("control", ["positions", "vocabulary"])
def test_no_naming_of_a_control_s_outputs_comes_near_an_honest_student(tokens, students, control):
    frequent = most_frequent(tokens)
    assert agreement(students[control], tokens, relabel=True) < frequent + 0.1
    assert frequent + 0.1 < agreement(students["none"], tokens, relabel=False) - 0.3


@pytest.mark.slow
def test_held_out_rows_of_a_control_are_scored_against_the_teacher_as_it_is(students):
    course = {name: training(model)["validation"] for name, model in students.items()}
    assert course["none"][0]["loss"] == course["positions"][0]["loss"]
    assert course["none"][0]["loss"] == course["vocabulary"][0]["loss"]
    assert course["none"][-1]["loss"] < 0.5 * course["positions"][-1]["loss"]


def test_a_control_is_the_same_whenever_it_is_made(tmp_path, student, tokens, teacher):
    courses = []
    for number in range(2):
        made = Distillation(**{**FEW, "steps": 3}, control=TeacherControl.positions)
        result = made.run(make_stage(tmp_path / str(number)), student, tokens, teacher)
        courses.append([entry["loss"] for entry in training(result)["steps"]])
    assert courses[0] == courses[1]


def test_stored_answers_cannot_be_shuffled(student, tokens):
    stored = TopKLogitsSpec(tokenizer=None, k=3)
    with pytest.raises(SettingError, match="control"):
        Distillation(**FEW, control=TeacherControl.vocabulary).plan_spec(
            student.spec(), tokens.spec(), answers=stored
        )


def training(model: Checkpoint) -> dict:
    return json.loads((model.directory / "training.json").read_text())


def most_frequent(tokens) -> float:
    """Return the share of the supervised token that is the most frequent one."""
    sequences, counts = tokens.sequences("validation"), Counter()
    for index in range(len(sequences)):
        ids, loss_mask = (np.array(part) for part in sequences[index])
        counts.update(ids[loss_mask.astype(bool)].tolist())
    return max(counts.values()) / counts.total()


def test_a_loss_says_what_it_was_measured_on(tmp_path, student, tokens, teacher):
    few = {**FEW, "steps": 1}
    runs = [
        (Sft(**few), (student, tokens)),
        (Sft(**few, neftune=5.0), (student, tokens)),
        (Sft(**few, validation_rows=5), (student, tokens)),
        (Distillation(**few), (student, tokens, teacher)),
    ]
    digests = []
    for number, (component, ports) in enumerate(runs):
        stage = make_stage(tmp_path / str(number))
        component.run(stage, *ports)
        digests.append(stage.measured_on["validation_loss"])
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3

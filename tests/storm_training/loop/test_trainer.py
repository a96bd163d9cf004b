from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint
from storm_training.data.packing import build_batch
from storm_training.data.token_sequences import TokenSequences
from storm_training.loop.module import TrainingModule
from storm_training.loop.trainer import train
from storm_training.objectives.objective import NextToken, next_token_loss
from storm_training.testing import newest_checkpoint, ragged_sequences, small_settings


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_lowers_the_loss_and_reports_it(tmp_path, checkpoint):
    stage = make_stage(tmp_path)
    model = checkpoint.load("float32")
    log = train(
        model, ragged_sequences(), small_settings(steps=30), stage, validation=ragged_sequences(10)
    )
    assert [entry["step"] for entry in log.steps] == list(range(1, 31))
    assert [entry["step"] for entry in log.validation] == [0, 30]
    assert log.validation[1]["loss"] < log.validation[0]["loss"] - 0.5
    assert stage.metrics["tokens"] == sum(entry["tokens"] for entry in log.steps)
    assert stage.metrics["tokens_per_second"] > 0
    assert not model.training


def test_two_runs_agree_to_the_bit(tmp_path, checkpoint):
    results = []
    for name in "ab":
        model = checkpoint.load("float32")
        log = train(model, ragged_sequences(), small_settings(), make_stage(tmp_path, name))
        results.append((weights(model), log))
    assert same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_another_seed_trains_otherwise(tmp_path, checkpoint):
    one, other = checkpoint.load("float32"), checkpoint.load("float32")
    train(one, ragged_sequences(), small_settings(seed=1), make_stage(tmp_path, "a"))
    train(other, ragged_sequences(), small_settings(seed=2), make_stage(tmp_path, "b"))
    assert not same(weights(one), weights(other))


def test_eight_rows_at_once_equal_eight_passes_of_one_row(tmp_path, checkpoint):
    results = []
    for rows, passes in ((8, 1), (1, 8), (2, 4)):
        model = checkpoint.load("float32")
        chosen = small_settings(steps=2, batch_size=rows, gradient_accumulation_steps=passes)
        log = train(model, ragged_sequences(), chosen, make_stage(tmp_path, f"{rows}x{passes}"))
        results.append((weights(model), [entry["loss"] for entry in log.steps]))
    for actual, losses in results[1:]:
        assert losses == pytest.approx(results[0][1], rel=1e-5)
        for name, expected in results[0][0].items():
            assert torch.allclose(actual[name], expected, atol=2e-4), name


def test_the_step_is_that_of_a_plain_loop(tmp_path, checkpoint):
    """One step over all sequences, against AdamW on transformers' own loss, row by row."""
    chosen = small_settings(
        steps=1, batch_size=100, warmup_ratio=0, max_grad_norm=1.0, weight_decay=0.1
    )
    sequences = ragged_sequences(9)
    ours, plain = checkpoint.load("float32"), checkpoint.load("float32")
    train(ours, sequences, chosen, make_stage(tmp_path))
    loss = torch.zeros(())
    for index in range(len(sequences)):
        tokens, supervised = sequences[index]
        ids = torch.from_numpy(tokens.astype(np.int64))[None]
        labels = torch.where(torch.from_numpy(supervised)[None], ids, -100)
        count = int((labels[:, 1:] != -100).sum())
        if count:
            loss = loss + plain(input_ids=ids, labels=labels).loss * count
    (loss / sequences.targets()).backward()
    torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
    groups = [
        {"params": [p for p in plain.parameters() if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in plain.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.95)).step()
    for name, parameter in plain.named_parameters():
        near = torch.isclose(dict(ours.named_parameters())[name], parameter, atol=1e-4)
        assert near.float().mean() > 0.999, name


def test_frozen_tensors_keep_their_bits_and_have_no_optimiser_state(tmp_path, checkpoint):
    model = checkpoint.load("float32")
    before = weights(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("mlp" in name)
    stage = make_stage(tmp_path)
    train(model, ragged_sequences(), small_settings(weight_decay=0.5, checkpoint_every=3), stage)
    for name, parameter in model.named_parameters():
        assert torch.equal(before[name], parameter) == ("mlp" not in name), name
    saved = torch.load(newest_checkpoint(stage), weights_only=True)
    assert all("mlp" in name for name in saved["state_dict"])
    assert len(saved["optimizer_states"][0]["state"]) == 12


def test_activation_checkpointing_changes_nothing(tmp_path, checkpoint):
    results = []
    for recompute in (False, True):
        model = checkpoint.load("float32")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("layers.2" in name)
        chosen = small_settings(activation_checkpointing=recompute)
        train(model, ragged_sequences(), chosen, make_stage(tmp_path, str(recompute)))
        results.append(weights(model))
    assert same(*results)


def test_bf16_arithmetic_keeps_fp32_weights(tmp_path):
    model = make_checkpoint(tmp_path / "model").load("float32")
    log = train(
        model,
        ragged_sequences(20),
        small_settings(steps=2, precision="bfloat16_mixed"),
        make_stage(tmp_path),
    )
    assert log.precision == "bfloat16_mixed"
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())


def test_validation_in_between(tmp_path, checkpoint):
    chosen = small_settings(steps=5, validation_every=2)
    log = train(
        checkpoint.load("float32"),
        ragged_sequences(),
        chosen,
        make_stage(tmp_path),
        validation=ragged_sequences(5),
    )
    assert [entry["step"] for entry in log.validation] == [0, 2, 4, 5]


def test_a_loss_that_is_not_finite_is_an_error(tmp_path, checkpoint):
    model = checkpoint.load("float32")
    with torch.no_grad():
        model.lm_head.weight[0, 0] = float("nan")
    with pytest.raises(InputError, match="the loss of step 1 is nan: lower learning_rate"):
        train(model, ragged_sequences(), small_settings(), make_stage(tmp_path))


def test_a_pass_that_does_not_fit_names_what_would_make_it_fit(tmp_path, checkpoint):
    class Greedy(NextToken):
        def loss(self, model, batch):
            raise torch.OutOfMemoryError("tried to allocate 9 GiB\nand more")

    with pytest.raises(InputError, match=r"batch_size=2 rows of sequence_length=96 .*9 GiB"):
        train(
            checkpoint.load("float32"),
            ragged_sequences(),
            small_settings(),
            make_stage(tmp_path),
            objective=Greedy(),
        )


def test_what_cannot_train_is_an_error(tmp_path, checkpoint):
    model, stage = checkpoint.load("float32"), make_stage(tmp_path)
    with pytest.raises(SettingError, match="the longest sequence has"):
        train(model, ragged_sequences(), small_settings(sequence_length=8), stage)
    nothing = TokenSequences.collect([([1, 2, 3], [True, False, False])])
    with pytest.raises(InputError, match="no sequence has a supervised token"):
        train(model, nothing, small_settings(), stage)
    model.requires_grad_(False)
    with pytest.raises(InputError, match="every parameter is frozen"):
        train(model, ragged_sequences(), small_settings(), stage)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"schedule": "cosin"}, "schedule"),
        ({"precision": "fp8"}, "precision"),
        ({"warmup_ratio": 1.5}, "warmup_ratio"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"steps": None, "epochs": 0}, "epochs"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps"),
        ({"beta2": 1.0}, "beta2"),
        ({"schedule_from": 1.0}, "schedule_from"),
        ({"schedule_from": 0.5, "schedule_to": 0.5}, "schedule_to"),
        ({"weight_decay": -1}, "weight_decay"),
    ],
)
def test_settings_that_cannot_work_are_named(changes, name):
    with pytest.raises(SettingError) as error:
        small_settings(**changes)
    assert error.value.setting == name


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_run_without_progress_stops_and_the_best_weights_are_kept(tmp_path, checkpoint, keep):
    draw = np.random.default_rng(1)
    held_out = TokenSequences.collect([(draw.integers(40, 200, 60), None)])
    chosen = small_settings(
        steps=30, validation_every=1, keep=keep, patience=3, learning_rate=0.03, warmup_ratio=0.0
    )
    model, stage = checkpoint.load("float32"), make_stage(tmp_path)
    log = train(model, ragged_sequences(), chosen, stage, validation=held_out)
    losses = {entry["step"]: entry["loss"] for entry in log.validation}
    best = min(losses, key=losses.get)
    assert len(log.steps) == max(best, 0) + 3 < 30
    assert log.kept == (best if keep == "best" else None)
    batch = build_batch(held_out, [[0]])
    with torch.no_grad():
        ended = float(next_token_loss(model, batch)) / batch.targets
    assert ended == pytest.approx(losses[best if keep == "best" else len(log.steps)], rel=1e-5)


def test_loggers_hear_of_every_step(tmp_path, checkpoint):
    import csv

    stage = make_stage(tmp_path)
    stage.log = tmp_path / "run" / "log.txt"
    stage.log.parent.mkdir()
    chosen = small_settings(steps=3, validation_every=1)
    log = train(
        checkpoint.load("float32"),
        ragged_sequences(),
        chosen,
        stage,
        validation=ragged_sequences(4),
    )
    folder = tmp_path / "run" / "training" / "stage"
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3]
    assert [float(row["loss"]) for row in rows] == pytest.approx([s["loss"] for s in log.steps])
    assert [float(row["validation_loss"]) for row in rows] == pytest.approx(
        [entry["loss"] for entry in log.validation[1:]]
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]


def test_saving_is_tried_after_the_first_step(tmp_path, checkpoint):
    from storm_training.loop.finetuned_checkpoint import write_checkpoint

    model, steps = checkpoint.load("float32"), []
    trained = {name for name, _ in model.named_parameters()}

    def write(folder):
        steps.append(len(list(folder.parent.iterdir())))
        return write_checkpoint(checkpoint, model, trained, folder)

    stage = make_stage(tmp_path)
    train(model, ragged_sequences(), small_settings(), stage, write=write)
    assert len(steps) == 1 and not (stage.scratch / "first-step").exists()

    def lossy(folder):
        made = write(folder)
        config = made.config()
        config["intermediate_size"] += 1
        (folder / "config.json").write_text(json.dumps(config))
        return made

    with pytest.raises(InputError, match="saved after step 1, the model cannot be read back"):
        train(model, ragged_sequences(), small_settings(), make_stage(tmp_path, "b"), write=lossy)


def test_control_c_leaves_training_as_control_c(tmp_path, checkpoint, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(
            checkpoint.load("float32"), ragged_sequences(), small_settings(), make_stage(tmp_path)
        )
    assert signal.getsignal(signal.SIGINT) is handler


def test_training_leaves_the_random_state_of_others_alone(tmp_path, checkpoint):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(checkpoint.load("float32"), ragged_sequences(), small_settings(), make_stage(tmp_path))
    assert torch.equal(torch.rand(3), expected)

"""Two workers on a CPU train to what one trains to, with weights whole or divided."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule

from storm_exp import InputError, Runtime, StageContext
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.components.sft import Sft
from storm_training.loop.distributed import Distributed
from storm_training.loop.module import TrainingModule
from storm_training.loop.trainer import train
from storm_training.loop.training_log import TrainingLog
from storm_training.optim.settings import TrainingSettings
from storm_training.testing import (
    make_chats,
    newest_checkpoint,
    ragged_sequences,
    small_settings,
    tokenise_chats,
)
from storm_training.trainable.settings import TrainableSettings
from waiting import PATIENCE

TOLERANCE = {"losses": 1e-5, "norms": 1e-4, "weights": 2e-4}
"""Relative for losses and norms, absolute for weights, at a learning rate of 1e-2: sums are taken
in another order, and the first steps of AdamW divide by the size of small gradients."""
RAGGED = {"batch_size": 1, "gradient_accumulation_steps": 5, "steps": 4, "validation_every": 2}
"""A step has five passes of one row: three for one worker, two and an empty one for the other."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model whose head is tied."""
    folder = tmp_path_factory.mktemp("devices")
    make_checkpoint(folder / "model", "qwen2", num_hidden_layers=2, tie_word_embeddings=True)
    return folder


def run(stage: StageContext, folder: Path, chosen: TrainingSettings, frozen: str) -> None:
    """Train, and let the first worker keep weights and log in the stage's folder."""
    model = Checkpoint(folder / "model").load("float32")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not frozen or frozen not in name)
    log = train(model, ragged_sequences(), chosen, stage, validation=ragged_sequences(7))
    if stage.rank == 0:
        parameters = dict(model.named_parameters(remove_duplicate=False))
        assert parameters["lm_head.weight"] is parameters["model.embed_tokens.weight"]
        weights = {name: value.detach() for name, value in model.named_parameters()}
        torch.save((weights, vars(log), stage.metrics), stage.directory / "result")


def results(stage: StageContext) -> tuple[dict[str, torch.Tensor], TrainingLog, dict[str, float]]:
    """Return what `run` kept."""
    weights, log, metrics = torch.load(stage.directory / "result", weights_only=True)
    return weights, TrainingLog(**log), metrics


def in_two(
    place: Path, strategy: str, task: Callable[[StageContext], object], *, dies_in: int = 0
) -> StageContext:
    """Run in two processes, as torchrun would start them; both die in step `dies_in`."""
    alone = make_stage(place)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runtime = Runtime(device="cpu", threads=1, devices=2, strategy=strategy)
    log = alone.scratch / "log.txt"

    def work(rank: int) -> None:
        torch.set_num_threads(1)
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        stage = StageContext("stage", alone.directory, alone.scratch, runtime, log, rank, 2)
        take = TrainingModule.training_step

        def dying(module: TrainingModule, batches: list, index: int) -> None:
            if dies_in and len(module.record.steps) == dies_in - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            take(module, batches, index)

        TrainingModule.training_step = dying
        task(stage)

    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work, args=(rank,)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    expected = -signal.SIGKILL if dies_in else 0
    assert [worker.exitcode for worker in workers] == [expected] * 2
    return alone


def two_workers(
    folder: Path,
    place: Path,
    strategy: str,
    chosen: TrainingSettings,
    *,
    frozen: str = "",
    dies_in: int = 0,
) -> StageContext:
    """Train as `run` does, in two processes."""

    def task(stage: StageContext) -> None:
        run(stage, folder, chosen, frozen)

    return in_two(place, strategy, task, dies_in=dies_in)


def require_same_course(one: TrainingLog, two: TrainingLog) -> None:
    """Compare two logs within the tolerance."""
    assert len(one.steps) == len(two.steps)
    for a, b in zip(one.steps, two.steps, strict=True):
        assert (a["tokens"], a["supervised"]) == (b["tokens"], b["supervised"])
        assert a["loss"] == pytest.approx(b["loss"], rel=TOLERANCE["losses"])
        assert a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=TOLERANCE["norms"])
    for a, b in zip(one.validation, two.validation, strict=True):
        assert a["step"] == b["step"]
        assert a["loss"] == pytest.approx(b["loss"], rel=TOLERANCE["losses"])


@pytest.mark.parametrize("frozen", ["", "layers.0.mlp"])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_workers_end_where_one_ends(folder, tmp_path, strategy, frozen):
    chosen = small_settings(**RAGGED)
    alone = make_stage(tmp_path / "alone")
    run(alone, folder, chosen, frozen)
    together = two_workers(folder, tmp_path / "together", strategy, chosen, frozen=frozen)
    one, two = results(alone), results(together)
    require_same_course(one[1], two[1])
    assert one[2]["tokens"] == two[2]["tokens"]
    before = dict(Checkpoint(folder / "model").load("float32").named_parameters())
    for name, values in one[0].items():
        assert torch.allclose(values, two[0][name], rtol=0, atol=TOLERANCE["weights"]), name
        if frozen and frozen in name:
            assert torch.equal(two[0][name], before[name]), name


@pytest.mark.parametrize("strategy", ["ddp", pytest.param("fsdp", marks=pytest.mark.slow)])
def test_killed_workers_go_on_to_the_bits_of_undisturbed_ones(folder, tmp_path, strategy):
    chosen = small_settings(**RAGGED | {"steps": 6, "checkpoint_every": 2})
    expected = results(two_workers(folder, tmp_path / "undisturbed", strategy, chosen))
    two_workers(folder, tmp_path / "killed", strategy, chosen, dies_in=6)
    resumed = results(two_workers(folder, tmp_path / "killed", strategy, chosen))
    assert resumed[1] == expected[1]
    assert all(torch.equal(values, resumed[0][name]) for name, values in expected[0].items())


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_one_worker_goes_on_from_where_two_were_killed(folder, tmp_path, strategy):
    chosen = small_settings(**RAGGED | {"checkpoint_every": 2})
    alone = make_stage(tmp_path / "alone")
    run(alone, folder, chosen, "")
    stage = two_workers(folder, tmp_path / "killed", strategy, chosen, dies_in=4)
    saved = torch.load(newest_checkpoint(stage), weights_only=True)
    assert len(saved["log"]["steps"]) == 2
    run(stage, folder, chosen, "")
    require_same_course(results(alone)[1], results(stage)[1])


@pytest.mark.parametrize("choice", ["all", "lora"])
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_the_first_worker_writes_the_checkpoint_that_one_device_writes(
    folder, tmp_path, strategy, choice
):
    model = Checkpoint(folder / "model")
    tokens = tokenise_chats(tmp_path / "tokens", model, make_chats(tmp_path / "chats"))
    given = vars(small_settings(learning_rate=1e-3, batch_size=1, gradient_accumulation_steps=3))
    sft = Sft(**given, trainable=TrainableSettings(method=choice))
    expected = sft.run(make_stage(tmp_path / "alone"), model, tokens)

    def task(stage: StageContext) -> None:
        assert sft.run(stage, model, tokens).directory == stage.directory

    stage = in_two(tmp_path / "together", strategy, task)
    result = Checkpoint(stage.directory)
    assert result.headers() == expected.headers() == model.headers()
    assert sorted(result.files()) == sorted(expected.files())
    for name, values in expected.tensors():
        assert torch.allclose(result.tensor(name), values, rtol=0, atol=1e-4), name
    records = [json.loads((c.directory / "training.json").read_text()) for c in (result, expected)]
    assert records[0]["trainable"] == records[1]["trainable"]


@pytest.mark.parametrize("choice", ["all", pytest.param("lora", marks=pytest.mark.slow)])
def test_divided_workers_keep_whole_models_on_the_way_and_go_on(folder, tmp_path, choice):
    model = Checkpoint(folder / "model")
    tokens = tokenise_chats(tmp_path / "tokens", model, make_chats(tmp_path / "chats"))
    given = vars(small_settings(learning_rate=1e-3, batch_size=1, gradient_accumulation_steps=3))
    given["trainable"] = TrainableSettings(method=choice)
    stopped = Sft(**given | {"stop_after": 2}).run(make_stage(tmp_path / "stop"), model, tokens)
    expected = Sft(**given).run(make_stage(tmp_path / "alone"), model, tokens)

    def task(stage: StageContext) -> None:
        Sft(**given | {"keep_every": 2}).run(stage, model, tokens)

    stage = in_two(tmp_path / "together", "fsdp", task)
    (kept,) = stage.scratch.glob("interim_2_*")
    for result, wanted in ((kept / "model", stopped), (stage.directory, expected)):
        for name, values in wanted.tensors():
            found = Checkpoint(result).tensor(name)
            assert torch.allclose(found, values, rtol=0, atol=1e-4), name


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_worker_without_rows_changes_nothing_and_the_user_is_told(folder, tmp_path, strategy):
    chosen = small_settings(batch_size=1)
    alone = make_stage(tmp_path / "alone")
    run(alone, folder, chosen, "")
    together = two_workers(folder, tmp_path / "together", strategy, chosen)
    require_same_course(results(alone)[1], results(together)[1])
    log = (together.scratch / "log.txt").read_text()
    assert log.count("a step has 1 rows, fewer than the 2 devices: raise") == 1


def test_quantised_weights_cannot_be_divided(tmp_path):
    runtime = Runtime(device="cpu", devices=2, strategy="fsdp")
    devices = Distributed(StageContext("stage", tmp_path, tmp_path, runtime, None, 0, 2))
    module = LightningModule()
    module.packed = torch.nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(InputError, match="packed is quantised"):
        devices.shard_weights(module, torch.nn.ModuleList(), "float32")


def test_divided_weights_compute_in_bf16_and_stay_fp32(folder, tmp_path):
    exact = results(two_workers(folder, tmp_path / "exact", "fsdp", small_settings(**RAGGED)))
    chosen = small_settings(**RAGGED | {"precision": "bfloat16_mixed"})
    rounded = results(two_workers(folder, tmp_path / "rounded", "fsdp", chosen))
    losses = [[step["loss"] for step in log.steps] for log in (exact[1], rounded[1])]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert {values.dtype for values in rounded[0].values()} == {torch.float32}


def test_every_row_of_a_step_has_one_worker_and_all_make_as_many_passes(tmp_path):
    for world in (1, 2, 3, 8):
        for rows in (1, 2, 5, 8, 16):
            step = [list(range(rows))[start : start + 2] for start in range(0, rows, 2)]
            shares = []
            for rank in range(world):
                stage = StageContext("stage", tmp_path, tmp_path, None, None, rank, world)
                shares.append(Distributed(stage).shard(step))
            assert len({len(share) for share in shares}) == 1
            assert sorted(r for share in shares for rows in share for r in rows) == [*range(rows)]
            assert all(len(rows) <= 2 for share in shares for rows in share)
            if world == 1:
                assert shares[0] == step

"""Models of earlier steps: kept in passing or trained, they have the same bits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storm_exp import Runtime, SettingError, StageContext, Store
from storm_exp._store.artifact_maker import Maker
from storm_exp.testing import make_stage, run_component
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint
from storm_training.components.pretraining import Pretraining
from storm_training.components.sft import Sft
from storm_training.loop.module import TrainingModule
from storm_training.testing import make_chats, tokenise_chats
from storm_training.trainable.settings import TrainableSettings

FEW = {
    "steps": 4,
    "sequence_length": 96,
    "batch_size": 2,
    "learning_rate": 1e-2,
    "precision": "float32",
    "loggers": [],
    "seed": 0,
}


class Bench:
    """A model and tokens that have keys, and stages whose memos a store keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = make_checkpoint(folder / "model", num_hidden_layers=2)
        tokens = tokenise_chats(folder / "tokens", made, make_chats(folder / "data"))
        self.model, self.tokens = (
            Checkpoint(made.directory, "a" * 64),
            type(tokens)(tokens.directory, "b" * 64),
        )

    def stage(self, name: str, store: str = "store") -> StageContext:
        stage = make_stage(self.folder, name)
        stage.keep_memo = Maker(Store(self.folder / store), Runtime(device="cpu", threads=1)).memo
        return stage

    def train(self, stage: StageContext, kind: type = Sft, **settings) -> dict[str, bytes]:
        """Train, and return the files of the result."""
        run_component(kind(**{**FEW, **settings}), stage, self.model, self.tokens)
        return files(stage.directory)


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("interim"))


CHOICES = {
    "sft": {},
    "frozen": {"trainable": TrainableSettings(method="last_layers", layers=1)},
    "lora": {"trainable": TrainableSettings(method="lora", rank=2)},
    "best": {"keep": "best", "validation_every": 1},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_kept_in_passing_is_what_a_training_that_stops_there_makes(bench, choice):
    settings = CHOICES[choice]
    plain = bench.train(bench.stage(f"{choice}-plain", "other"), **settings)
    whole = bench.stage(f"{choice}-whole")
    assert bench.train(whole, keep_every=1, **settings) == plain
    assert len(whole.memos) == 3
    taken, trained = bench.stage(f"{choice}-taken"), bench.stage(f"{choice}-trained", "other")
    kept = bench.train(taken, stop_after=3, **settings)
    assert kept == bench.train(trained, stop_after=3, **settings)
    assert "tokens_per_second" in trained.metrics and "tokens_per_second" not in taken.metrics
    assert taken.metrics["steps"] == 3 and taken.metrics.items() <= trained.metrics.items()
    assert choice == "best" or kept["model.safetensors"] != plain["model.safetensors"]
    record = json.loads(kept["training.json"])
    assert [entry["step"] for entry in record["steps"]] == [1, 2, 3]
    assert record["validation"][-1]["step"] == 3


def test_a_model_that_was_taken_takes_room_once(bench):
    bench.train(bench.stage("linked-whole", "links"), keep_every=3)
    (kept,) = (bench.folder / "links").rglob("model.safetensors")
    before = kept.stat().st_ino
    stage = bench.stage("linked", "links")
    bench.train(stage, stop_after=3)
    assert (stage.directory / "model.safetensors").stat().st_ino == before
    assert not kept.exists()


def test_the_first_that_stops_keeps_what_the_others_take(bench):
    bench.train(bench.stage("last"), stop_after=3, keep_every=1, weight_decay=0.2)
    for step in (1, 2):
        stage = bench.stage(f"earlier-{step}")
        bench.train(stage, stop_after=step, keep_every=1, weight_decay=0.2)
        assert "tokens_per_second" not in stage.metrics


def test_with_a_constant_rate_it_is_the_model_of_a_shorter_training(bench):
    constant = {"schedule": "constant", "warmup_ratio": 0.0}
    short = bench.train(bench.stage("short"), steps=3, **constant)
    stopped = bench.train(bench.stage("stopped"), stop_after=3, **constant)
    assert stopped["model.safetensors"] == short["model.safetensors"]


def test_with_another_schedule_a_shorter_training_is_another_one(bench):
    short = bench.train(bench.stage("short-cosine"), steps=3)
    stopped = bench.train(bench.stage("stopped-cosine"), stop_after=3)
    assert stopped["model.safetensors"] != short["model.safetensors"]


def test_a_killed_training_has_the_same_interim_models(bench, monkeypatch):
    settings = {"steps": 6, "keep_every": 2, "checkpoint_every": 1, "weight_decay": 0.3}
    expected = bench.train(bench.stage("undisturbed", "other"), **settings)
    wanted = bench.train(bench.stage("undisturbed-4", "other"), stop_after=4, **settings)
    take = TrainingModule.training_step

    def dying(module: TrainingModule, batches: list, index: int) -> None:
        if len(module.record.steps) == 3:
            raise KeyboardInterrupt
        take(module, batches, index)

    stage = bench.stage("killed")
    monkeypatch.setattr(TrainingModule, "training_step", dying)
    with pytest.raises(KeyboardInterrupt):
        bench.train(stage, **settings)
    monkeypatch.setattr(TrainingModule, "training_step", take)
    assert bench.train(stage, **settings) == expected
    taken = bench.stage("killed-4")
    assert bench.train(taken, stop_after=4, **settings) == wanted
    assert "tokens_per_second" not in taken.metrics


def test_epochs_are_counted_where_they_set_the_length(bench):
    epochs = {"steps": None, "epochs": 2.0, "sequence_length": 512}
    whole = bench.stage("epochs")
    bench.train(whole, keep_every_epochs=0.5, **epochs)
    half = bench.stage("one-epoch")
    bench.train(half, stop_after_epochs=1.0, **epochs)
    assert "tokens_per_second" not in half.metrics
    assert half.metrics["steps"] * 2 == whole.metrics["steps"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"stop_after": 4}, "stop_after=4: must be below steps=4"),
        ({"stop_after": 0}, "stop_after=0"),
        ({"keep_every": -1}, "keep_every=-1"),
        ({"stop_after_epochs": 0.5}, "steps=4 sets the length: count in steps, by stop_after"),
        ({"steps": None, "stop_after_epochs": 1.0}, "must be below epochs=1"),
        (
            {"steps": None, "epochs": 2.0, "stop_after": 3, "stop_after_epochs": 1.0},
            "stop_after says already",
        ),
    ],
)
def test_stops_that_cannot_be_are_refused(settings, problem):
    with pytest.raises(SettingError, match=problem):
        Sft(**{**FEW, **settings})


def test_a_stop_behind_the_end_is_refused_when_the_end_is_known(bench):
    beyond = {"steps": None, "epochs": 1.0, "stop_after": 1000}
    with pytest.raises(SettingError, match="training ends after"):
        bench.train(bench.stage("beyond"), **beyond)


def test_patience_that_ends_a_training_before_is_told(bench):
    settings = {"steps": 8, "stop_after": 7, "validation_every": 1, "patience": 1}
    with pytest.raises(SettingError, match="patience=1 ended training after step"):
        bench.train(bench.stage("patient"), learning_rate=0.5, **settings)


def test_a_rehearsal_stops_after_its_first_step():
    short = Sft(**{**FEW, "steps": 400, "stop_after": 300, "keep_every": 100}).rehearsal()
    assert (short.steps, short.stop_after, short.keep_every) == (3, 1, 1)
    whole = Pretraining(**{**FEW, "steps": None, "epochs": 3.0, "keep_every_epochs": 1}).rehearsal()
    assert (whole.steps, whole.stop_after, whole.keep_every) == (3, None, 1)

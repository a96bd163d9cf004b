"""Workers: what several processes make is what one makes, and nothing outlives the launcher."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from storm_exp import Runtime, SettingError, StageContext
from storm_exp._store.manifest import Manifest
from storm_models.workers import check_names, command
from waiting import lives, until

SHARED = ("-m", "storm_exp", "recipe=sum", "adder=shared_out", "targets=[adder]")
TWO = "runtime.devices=2"


def pids(folder: Path) -> list[int]:
    """Return the process ids of the workers that have begun."""
    files = folder.glob("outputs/store/scratch/*/pid-*")
    return [int(text) for text in (file.read_text() for file in files) if text]


def manifest(folder: Path) -> Manifest:
    """Return the manifest of the adder of the latest run."""
    found = Manifest.read((folder / "outputs/latest/adder").resolve())
    assert found is not None
    return found


def test_two_workers_make_under_the_same_key_what_one_process_makes(start, storm, tmp_path):
    said = start(*SHARED, TWO).wait()
    assert said.code == 0
    shared = manifest(tmp_path)
    assert said.err.count("adder: worker ") == 1
    assert "adder: worker 0 of 2\n" in said.err
    assert "adder: worker 0 of 2\n" in (tmp_path / "outputs/latest/log.txt").read_text()
    assert storm(*SHARED[2:], "outputs=alone").code == 0
    (tmp_path / "outputs").rename(tmp_path / "shared")
    (tmp_path / "alone").rename(tmp_path / "outputs")
    alone = manifest(tmp_path)
    assert (shared.key, shared.digest()) == (alone.key, alone.digest())
    assert shared.metrics == alone.metrics == {"value": 13.0, "rank": 0.0}
    assert (shared.made["workers"], alone.made["workers"]) == (2, 1)
    assert shared.made["peak_memory"] > 2 << 23
    assert not list((tmp_path / "shared/store").glob("artifacts/??/.*"))


def test_the_error_of_a_worker_ends_the_others_and_reads_as_it_would_here(start, storm, tmp_path):
    said = start(*SHARED, TWO, "adder.fails_at=1").wait()
    assert said.code == 1
    assert storm(*SHARED[2:], "adder.fails_at=0", "outputs=alone").code == 1
    (here,) = (tmp_path / "alone/store/failures").iterdir()
    (there,) = (tmp_path / "outputs/store/failures").iterdir()
    text = "error: adder failed with ArithmeticError: that is too much; details in "
    assert said.err.endswith(f"{text}{there}\n")
    assert "Traceback" not in said.err
    assert 'raise ArithmeticError("that is too much")' in there.read_text().replace("\\", "")
    assert here.name.split("-")[0] == there.name.split("-")[0]
    assert not any(map(lives, pids(tmp_path)))


def test_a_worker_that_dies_is_reported_in_one_line(start, tmp_path):
    said = start(*SHARED, TWO, "adder.dies_at=0").wait()
    assert said.code == 1
    assert (
        "ChildProcessError: a worker ended without an error message, perhaps for lack of memory"
        in said.err
    )
    assert "Traceback" not in said.err
    (failure,) = (tmp_path / "outputs/store/failures").iterdir()
    assert "SIGABRT" in failure.read_text()


@pytest.mark.parametrize(
    "end", [pytest.param(signal.SIGKILL, marks=pytest.mark.slow), signal.SIGINT]
)
def test_no_worker_outlives_the_process_that_launched_it(start, tmp_path, end):
    started = start(*SHARED, TWO, "adder.hangs_at=1")
    until(lambda: len(pids(tmp_path)) == 2)
    assert all(map(lives, pids(tmp_path)))
    started.process.send_signal(end)
    until(lambda: not any(map(lives, pids(tmp_path))))
    said = started.wait()
    assert said.code == (130 if end == signal.SIGINT else -signal.SIGKILL)
    if end == signal.SIGINT:
        assert not list((tmp_path / "outputs/store").glob("artifacts/??/.*"))


@pytest.mark.slow
def test_a_worker_is_given_every_setting_as_it_is(storm, tmp_path):
    elsewhere = ("recipe=sum", "adder=elsewhere", "targets=[adder]", "adder.inner.names=[b,c]")
    assert storm(*elsewhere, "adder.shape=ROUND", "adder.distributed=true", TWO).code == 0
    there = manifest(tmp_path)
    assert storm(*elsewhere, "adder.shape=ROUND", "store.path=here").code == 0
    here = manifest(tmp_path)
    assert (here.key, here.digest()) == (there.key, there.digest())


def test_an_error_for_users_is_one_from_a_worker_too(storm):
    said = storm("recipe=sum", "adder=elsewhere", "adder.limit=0", "adder.distributed=true", TWO)
    assert said.code == 1
    assert said.err.endswith(
        "error: adder: the number is above the limit "
        "(adder.limit=0.0 from the override `adder.limit=0`)\n"
    )


def test_a_stage_that_cannot_use_several_devices_runs_here(storm, tmp_path):
    assert storm("recipe=sum", TWO).code == 0
    assert manifest(tmp_path).made["workers"] == 1


def test_workers_on_several_nodes_meet_at_the_first_of_an_allocation(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "gpu[07-09,12],other")
    job = tmp_path / "stage.json"
    worker = ["python", "-m", "storm_exp._run.worker", str(job)]
    words = command(Runtime(devices=8, nodes=4), worker, "c" * 64)
    assert words[:4] == ["srun", "--nodes", "4", "--ntasks"]
    assert "--nproc-per-node=8" in words
    (endpoint,) = [word for word in words if word.startswith("--rdzv-endpoint=")]
    assert endpoint.startswith("--rdzv-endpoint=gpu07:")
    assert words[-3:] == ["-m", "storm_exp._run.worker", str(job)]
    monkeypatch.setenv("SLURM_JOB_NODELIST", "alone")
    assert "--rdzv-endpoint=alone:" in " ".join(command(Runtime(nodes=2), worker, "c" * 64))
    assert command(Runtime(nodes=2, launcher="torchrun"), worker, "c" * 64)[0] == "python"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"devices": 0}, "devices=0: must be at least 1"),
        ({"nodes": 0}, "nodes=0: must be at least 1"),
        ({"device": "cuda:1", "devices": 2}, "device='cuda:1': is one device, but devices=2"),
        ({"strategy": "fsdp2"}, "strategy='fsdp2': unknown; did you mean 'fsdp'?"),
        ({"launcher": "slurm"}, "launcher='slurm': unknown; known are: auto, srun, torchrun"),
    ],
)
def test_a_runtime_that_cannot_work_is_refused(settings, message):
    with pytest.raises(SettingError) as raised:
        check_names(Runtime(**settings))
    assert str(raised.value) == message


def test_only_the_first_worker_speaks(tmp_path, capsys):
    log = tmp_path / "log.txt"
    for rank in (0, 1):
        StageContext("stage", tmp_path, tmp_path, log=log, rank=rank, world=2).say(f"I am {rank}")
    assert capsys.readouterr().err == "  stage: I am 0\n"
    assert log.read_text()[len("2026-11-26 10:15:37 ") :] == "stage: I am 0\n"

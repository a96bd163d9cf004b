"""Sweeps under launchers that run every cell by itself: submitit's local one, and Slurm."""

from __future__ import annotations

import csv
import importlib.util
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slurm_cluster import missing, slurm_cluster
from storm_exp import Store
from storm_exp.report import RunRecord
from waiting import until

NO_SUBMITIT = importlib.util.find_spec("submitit") is None
with_submitit = pytest.mark.skipif(
    NO_SUBMITIT, reason="submitit is not installed: pip install 'storm-exp[slurm]'"
)
on_slurm = pytest.mark.skipif(bool(missing()), reason=f"no Slurm here: {missing()}")
CELLS = ["-m", "storm_exp", "-m", "recipe=sum", "adder=fussy", "source.value=2"]
"""A sweep whose cells share the stages `source` and `other`, and one of which fails."""
LIMITS = "adder.limit=1,5"


@pytest.fixture(scope="module")
def slurm() -> Iterator[dict[str, str]]:
    with slurm_cluster() as environment:
        yield environment


def records(folder: Path) -> list[RunRecord]:
    return [RunRecord.read(run) for run in sorted((folder / "outputs/runs").iterdir())]


def sweep_record(folder: Path) -> RunRecord:
    return RunRecord.read((folder / "outputs/latest").resolve())


def outcome(folder: Path) -> list[tuple[Any, ...]]:
    """Return what the record of a sweep says, apart from times and folders."""
    return [
        (cell.name, s.label, s.key, s.status, s.metrics, s.error.partition("; details in")[0])
        for cell in sweep_record(folder).cells
        for s in cell.stages
    ]


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / "outputs/latest" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_like_local(start, tmp_path: Path, launcher: list[str], **environment: str) -> None:
    """Check that a launcher's sweep is shared, and recorded as by the launcher `stages`."""
    said = start(*CELLS, LIMITS, *launcher, **environment).wait()
    assert said.code == 1
    assert "error: adder · adder.limit=1 failed with ArithmeticError: that is too" in said.err
    cells = [record for record in records(tmp_path) if not record.is_sweep]
    made = [s.key for cell in cells for s in cell.stages() if s.status == "made"]
    assert len(cells) == 2
    assert len(made) == len(set(made)) == 4  # source, other, and of one cell adder and total
    assert (tmp_path / "outputs/latest/report.html").is_file()
    apart = ["outputs=local", "store.path=local/store"]
    assert start(*CELLS, LIMITS, *apart).wait().code == 1
    (tmp_path / "local/outputs").symlink_to(".")
    assert outcome(tmp_path) == outcome(tmp_path / "local")
    for name in ("cells.csv", "sweep.csv"):
        here, there = table(tmp_path, name), table(tmp_path / "local", name)
        for rows in (here, there):
            for row in rows:
                row.pop("command", None)
                row.update({key: "" for key, value in row.items() if "/store/" in value})
        assert here == there


@pytest.mark.slow
@with_submitit
def test_submitits_local_jobs_share_stages_and_become_one_sweep(start, tmp_path):
    check_like_local(start, tmp_path, ["hydra/launcher=submitit_local"])


SWEEP = ["-m", "recipe=sum", "hydra/launcher=basic"]
"""A sweep by Hydra's own launcher, which runs the cells in this process."""


def test_cells_of_another_launcher_become_one_sweep(storm, tmp_path):
    said = storm(*SWEEP, "adder=fussy", "source.value=2", LIMITS)
    assert said.code == 1
    assert "2 cells run by hydra/launcher=basic" in said.err
    assert said.error.startswith("adder · adder.limit=1 failed with ArithmeticError")
    statuses = [[s.status for s in cell.stages] for cell in sweep_record(tmp_path).cells]
    assert statuses == [["made", "failed", "made", "not reached"], ["made"] * 4]
    assert [row["adder.limit"] for row in table(tmp_path, "cells.csv")] == ["1", "5"]


def test_cells_that_lack_nothing_are_not_run_again(storm, tmp_path):
    assert storm(*SWEEP, "adder.amount=5").code == 0
    before = len(records(tmp_path))
    said = storm(*SWEEP, "adder.amount=5,6")
    assert said.code == 0, said.err
    assert "1 cells of 2, as 1 lack nothing, run by hydra/launcher=basic" in said.err
    assert len(records(tmp_path)) == before + 2
    assert {s.status for s in sweep_record(tmp_path).cells[0].stages} == {"kept"}
    assert "nothing to make" in storm(*SWEEP, "adder.amount=5,6").out
    assert len(records(tmp_path)) == before + 3


def test_no_cell_is_run_where_the_plan_refuses_one(storm, tmp_path):
    said = storm(*SWEEP, "adder.amount=1,1000")
    assert said.code == 1
    assert "the cell adder.amount=1000 cannot run" in said.err
    assert not (tmp_path / "outputs/runs").exists()


@pytest.mark.slow
@with_submitit
@on_slurm
def test_cells_on_slurm_share_stages_and_become_one_sweep(start, tmp_path, slurm):
    check_like_local(start, tmp_path, ["hydra/launcher=submitit_slurm"], **slurm)


@pytest.mark.slow
@with_submitit
@on_slurm
def test_what_slurm_says_of_a_job_that_it_does_not_take_is_told(start, slurm):
    launcher = ["hydra/launcher=submitit_slurm", "hydra.launcher.partition=nowhere"]
    said = start(*CELLS, LIMITS, *launcher, **slurm).wait()
    assert said.code == 1
    assert "error: source: hydra/launcher=submitit_slurm failed" in said.err
    assert "invalid partition specified: nowhere" in said.err


SLOW = ["-m", "storm_exp", "-m", "recipe=sum", "adder=slow", "hydra/launcher=submitit_slurm"]


def slow_stages(folder: Path) -> list[str]:
    """Return the keys of slow stages that have begun."""
    return [file.parent.name for file in (folder / "outputs/store/scratch").glob("*/begun")]


@pytest.mark.slow
@with_submitit
@on_slurm
def test_a_job_ended_by_scancel_keeps_its_progress(start, tmp_path, slurm):
    sweep = start(*SLOW, "adder.seconds=100", "total.factor=1", **slurm)
    until(lambda: slow_stages(tmp_path))
    subprocess.run(["scancel", "--name=storm_exp"], env={**slurm}, check=True)
    said = sweep.wait()
    assert said.code == 1
    assert "ended by a signal: adder: interrupted after" in said.err
    assert "continues from its saved progress" in said.err
    cell, sweep_run = sorted(records(tmp_path), key=lambda record: not record.stages()[0].status)
    assert {cell.status, sweep_run.status} == {"interrupted", "failed"}
    (key,) = slow_stages(tmp_path)
    assert not Store(tmp_path / "outputs/store").lease_file(key).exists()


@pytest.mark.slow
@with_submitit
@on_slurm
def test_jobs_go_on_after_ctrl_c_and_the_same_command_takes_what_they_make(start, tmp_path, slurm):
    command = [*SLOW, "adder.seconds=5,6"]
    sweep = start(*command, **slurm)
    until(lambda: len(slow_stages(tmp_path)) > 0)
    sweep.process.send_signal(signal.SIGINT)
    said = sweep.wait()
    assert said.code == 130
    assert "jobs that hydra/launcher=submitit_slurm has submitted are not ended by this" in said.err
    assert sweep_record(tmp_path).status == "interrupted"
    said = start(*command, **slurm).wait()
    assert said.code == 0, said.err
    made = [
        s.key for r in records(tmp_path) if not r.is_sweep for s in r.stages() if s.status == "made"
    ]
    assert len(made) == len(set(made))
    assert sweep_record(tmp_path).status == "finished"


@pytest.mark.slow
@with_submitit
@on_slurm
def test_the_commands_of_the_page_work(start, tmp_path, slurm):
    page = (Path(__file__).parents[3] / "docs/slurm.md").read_text(encoding="utf-8")
    (preset,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    here = preset.replace("partition: gpu", "partition: cpu").replace("gres: gpu:1", "gres: null")
    file = tmp_path / "cluster/hydra/launcher/gpu.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(here.replace("mem_gb: 64", "mem_gb: null").replace("_task: 8", "_task: 1"))
    commands = re.findall(r"^    storm-exp (.*)$", page, re.M)
    assert len(commands) == 3
    for number, command in enumerate(commands):
        toys = {"smoke": "sum", "merger.t=0.3,0.5": f"adder.amount={number}.2,{number}.3"}
        for real, toy in (toys | {"finetuner": "adder"}).items():  # which does not take minutes
            command = command.replace(real, toy)
        said = start("-m", "storm_exp", *shlex.split(command), **slurm).wait()
        assert said.code == 0, said.err
        assert "run by hydra/launcher=" in said.err
        assert "\nmade " in said.out

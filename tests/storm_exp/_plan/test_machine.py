"""Devices and launchers that are not there are refused before anything is made."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hydra.errors import MissingConfigException

from storm_exp import Runtime, SettingError, install_command
from storm_exp._compose.hydra_errors import explain
from storm_models import workers
from storm_models.workers import check_machine


@pytest.fixture
def see(monkeypatch):
    """Return a function that says how many devices there are, beside four cores."""
    monkeypatch.setattr(workers, "core_count", lambda: 4)
    return lambda count: monkeypatch.setattr(workers, "device_count", lambda kind: count)


@pytest.mark.parametrize(
    ("runtime", "there"),
    [
        ({"device": "cuda"}, 0),
        ({"device": "cuda:2"}, 2),
        ({"device": "mps"}, 0),
        ({"device": "cuda", "devices": 4}, 2),
        ({"devices": 4}, 2),
    ],
)
def test_devices_that_are_not_there_are_refused(see, runtime, there):
    see(there)
    with pytest.raises(SettingError, match=f"this machine has {there} (cuda|mps) device"):
        check_machine(Runtime(**runtime))


@pytest.mark.parametrize(
    ("runtime", "there", "has"),
    [
        ({"devices": 8}, 0, "devices=8: this machine has 4 cores and no GPU"),
        ({"device": "cpu", "devices": 8}, 8, "devices=8: the CPU has 4 cores"),
    ],
)
def test_more_devices_than_cores_are_refused_where_cores_are_the_devices(see, runtime, there, has):
    see(there)
    with pytest.raises(SettingError, match=f"{has}; to plan for another machine"):
        check_machine(Runtime(**runtime))


@pytest.mark.parametrize(
    ("runtime", "there"),
    [
        ({}, 0),
        ({"device": "cpu", "devices": 4}, 0),
        ({"devices": 4}, 0),
        ({"devices": 4}, 4),
        ({"device": "cuda:1"}, 2),
        ({"device": "cuda"}, None),
    ],
)
def test_what_is_there_or_not_known_passes(see, runtime, there):
    see(there)
    check_machine(Runtime(**runtime))


def test_slurm_without_its_program_is_refused(see, monkeypatch, tmp_path):
    see(0)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    check_machine(Runtime(nodes=2))
    with pytest.raises(SettingError, match="no program srun"):
        check_machine(Runtime(launcher="srun"))
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with pytest.raises(SettingError, match="no program srun"):
        check_machine(Runtime(nodes=2))
    (tmp_path / "srun").touch(mode=0o755)
    check_machine(Runtime(nodes=2, launcher="srun"))


def test_a_launcher_of_cells_that_is_not_installed_is_refused(storm, tmp_path):
    words = ["plan", "recipe=sum", "-m", "source.value=1,2"]
    assert "did you mean 'stages'" in storm(*words, "hydra/launcher=stage").err
    (tmp_path / "hydra/launcher").mkdir(parents=True)
    (tmp_path / "hydra/launcher/mine.yaml").write_text("defaults: [basic]\n")
    said = storm(*words, "-cd", str(tmp_path), "hydra/launcher=mine")
    assert said.code == 0
    assert "2 cells: to make" in said.out
    gone = MissingConfigException("", "hydra/launcher/submitit_slurm", ["basic", "stages"])
    assert install_command("slurm") in (explain(gone) or "")


def test_a_plan_and_a_run_name_the_launcher_that_is_missing(storm):
    for verb in (("plan",), ()):
        said = storm(
            *verb, "recipe=sum", "-m", "source.value=1,2", "hydra/launcher=submitit_slurms"
        )
        assert said.code == 1
        assert "hydra/launcher=submitit_slurms: no such option" in said.err


def test_a_machine_without_a_driver_has_no_gpus_and_torch_is_not_asked():
    code = (
        "import sys\n"
        "from storm_models import devices\n"
        "devices._DRIVERS = ()\n"
        "print(devices.device_count('auto'), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False"]

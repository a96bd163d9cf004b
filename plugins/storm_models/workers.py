"""Distributed workers: checks of the machine, and the command that starts them."""

from __future__ import annotations

import os
import re
import shutil
import socket

from storm_exp import Runtime, SettingError, did_you_mean
from storm_models.devices import core_count, device_count

STRATEGIES = ("auto", "ddp", "fsdp")
"""How training is distributed: ddp has the whole model on each device, fsdp a part; auto takes ddp
on CPUs and fsdp on GPUs."""
LAUNCHERS = ("auto", "torchrun", "srun")
"""What starts workers on several nodes; auto takes srun in a Slurm allocation. With torchrun the
stage prints the command to run on the other nodes."""
_ELSEWHERE = "; to plan for another machine, name its accelerator, as in runtime.accelerator=h100"


def check_names(runtime: Runtime) -> None:
    """Raise SettingError for an unknown device, strategy or launcher."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", runtime.device):
        raise SettingError("device", runtime.device, "must be auto, cpu, cuda or cuda:N")
    if ":" in runtime.device and runtime.devices > 1:
        problem = f"is one device, but devices={runtime.devices}"
        raise SettingError("device", runtime.device, problem)
    for name, known in (("strategy", STRATEGIES), ("launcher", LAUNCHERS)):
        value = getattr(runtime, name)
        if value not in known:
            raise SettingError(name, value, f"unknown{did_you_mean(value, known)}")


def check_machine(runtime: Runtime) -> None:
    """Raise SettingError for devices or a launcher that this node does not have.

    Without GPUs a device is a core. Where torch is not installed the number of GPUs is unknown, and
    nothing is refused.
    """
    kind = runtime.device.partition(":")[0]
    index = int(runtime.device.partition(":")[2] or 0)
    wanted = {"cpu": 0, "auto": runtime.devices if runtime.devices > 1 else 0}.get(
        runtime.device, max(runtime.devices, index + 1)
    )
    present = device_count(kind) if wanted else None
    # A machine without GPUs divides work over its cores, unless GPUs were named.
    if present is not None and present < wanted and (present or runtime.device != "auto"):
        name = "cuda" if kind == "auto" else kind
        available = f"{present} {name} device" + ("" if present == 1 else "s")
        setting = "devices" if runtime.devices > 1 else "device"
        problem = f"this machine has {available}{_ELSEWHERE}"
        raise SettingError(setting, getattr(runtime, setting), problem)
    cores = core_count()
    if (present == 0 or kind == "cpu") and runtime.devices > cores:
        available = f"this machine has {cores} core{'' if cores == 1 else 's'} and no GPU"
        available = f"the CPU has {cores} cores" if kind == "cpu" else available
        raise SettingError("devices", runtime.devices, f"{available}{_ELSEWHERE}")
    if (
        _by_srun(runtime)
        and (runtime.nodes > 1 or runtime.launcher == "srun")
        and not shutil.which("srun")
    ):
        problem = f"there is no program srun on this machine{_ELSEWHERE}"
        raise SettingError("launcher", runtime.launcher, problem)


def command(runtime: Runtime, worker: list[str], key: str) -> list[str]:
    """Return the command line that starts a worker on each device, by torchrun."""
    python, *worker = worker
    words = [python, "-m", "torch.distributed.run", f"--nproc-per-node={runtime.devices}"]
    if runtime.nodes == 1:
        return [*words, "--standalone", *worker]
    slurm = _by_srun(runtime)
    # node[07-09,12],other → node07
    first = re.match(r"([^\[,]*)(?:\[(\w+))?", os.environ.get("SLURM_JOB_NODELIST", ""))
    host = "".join(part or "" for part in first.groups()) if slurm and first else ""
    port = 20_000 + int(key[:8], 16) % 20_000
    words += [f"--nnodes={runtime.nodes}", "--rdzv-backend=c10d", f"--rdzv-id={key[:12]}"]
    words += [f"--rdzv-endpoint={host or socket.gethostname()}:{port}", *worker]
    nodes = str(runtime.nodes)
    task = ["srun", "--nodes", nodes, "--ntasks", nodes, "--ntasks-per-node=1"]
    return [*task, "--kill-on-bad-exit=1", *words] if slurm else words


def _by_srun(runtime: Runtime) -> bool:
    return runtime.launcher == "srun" or (
        runtime.launcher == "auto" and "SLURM_JOB_ID" in os.environ
    )

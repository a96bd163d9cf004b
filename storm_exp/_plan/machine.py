"""What a run asks of this machine that it may not have: devices, and what starts workers."""

from __future__ import annotations

import os
import shutil

from storm_exp._contract.errors import SettingError
from storm_exp._contract.plugins import Plugins
from storm_exp._contract.runtime import Runtime

_ELSEWHERE = "; to plan for another machine, name its card, as in runtime.card=h100"


def check_machine(runtime: Runtime, plugins: Plugins) -> None:
    """Raise SettingError for devices of this node, or a launcher, that are not there.

    How many devices there are is what a plugin says; where none knows, nothing is refused.
    """
    kind = runtime.device.partition(":")[0]
    index = int(runtime.device.partition(":")[2] or 0)
    wanted = {"cpu": 0, "auto": runtime.devices if runtime.devices > 1 else 0}.get(
        runtime.device, max(runtime.devices, index + 1)
    )
    there = plugins.device_count(kind) if wanted else None
    # A machine without GPUs divides work over its cores, unless GPUs were named.
    if there is not None and there < wanted and (there or runtime.device != "auto"):
        name = "cuda" if kind == "auto" else kind
        found = f"{there} {name} device" + ("" if there == 1 else "s")
        setting = "devices" if runtime.devices > 1 else "device"
        problem = f"this machine has {found}{_ELSEWHERE}"
        raise SettingError(setting, getattr(runtime, setting), problem)
    slurm = runtime.launcher == "srun" or (
        runtime.launcher == "auto" and "SLURM_JOB_ID" in os.environ
    )
    if slurm and (runtime.nodes > 1 or runtime.launcher == "srun") and not shutil.which("srun"):
        problem = f"there is no program srun on this machine{_ELSEWHERE}"
        raise SettingError("launcher", runtime.launcher, problem)

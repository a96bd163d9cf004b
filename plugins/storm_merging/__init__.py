"""Merging checkpoints of one shape into one."""

from __future__ import annotations

from storm_exp import hookimpl


@hookimpl
def storm_components() -> list[type]:
    """Return the mergers."""
    from storm_merging.linear import Linear
    from storm_merging.slerp import Slerp
    from storm_merging.task_arithmetic import TaskArithmetic

    return [Slerp, Linear, TaskArithmetic]

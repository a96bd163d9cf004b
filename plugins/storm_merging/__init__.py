"""Merging checkpoints of one shape into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.record import RunRecord
    from storm_exp.report import Section


@hookimpl
def storm_components() -> list[type]:
    """Return the mergers."""
    from storm_merging.block_expand import BlockExpand
    from storm_merging.depth_upscale import DepthUpscale
    from storm_merging.linear import Linear
    from storm_merging.mergekit_method import Mergekit
    from storm_merging.mergekit_methods import (
        Breadcrumbs,
        BreadcrumbsTies,
        DareLinear,
        DareTies,
        Della,
        DellaLinear,
        ModelStock,
        Sce,
        Ties,
    )
    from storm_merging.slerp import Slerp
    from storm_merging.task_arithmetic import TaskArithmetic

    ours = [Slerp, Linear, TaskArithmetic, DepthUpscale, BlockExpand]
    task_vectors = [Ties, DareLinear, DareTies, Della, DellaLinear, Breadcrumbs, BreadcrumbsTies]
    return [*ours, *task_vectors, ModelStock, Sce, Mergekit]


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on the angles between the parents."""
    from storm_merging.report import sections

    return sections(run)

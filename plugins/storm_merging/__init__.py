"""Merging checkpoints: interpolation, averages, task vectors, and stacking of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from storm_exp.report import RunRecord, Section

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the mergers."""
    from storm_merging.mergekit.any_method import Mergekit
    from storm_merging.mergekit.methods import (
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
    from storm_merging.methods.block_expand import BlockExpand
    from storm_merging.methods.depth_upscale import DepthUpscale
    from storm_merging.methods.linear import Linear
    from storm_merging.methods.merge_adapter import MergeAdapter
    from storm_merging.methods.merge_yaml import MergeYaml
    from storm_merging.methods.slerp import Slerp
    from storm_merging.methods.task_arithmetic import TaskArithmetic

    native = [Slerp, Linear, TaskArithmetic, DepthUpscale, BlockExpand, MergeYaml, MergeAdapter]
    task_vectors = [Ties, DareLinear, DareTies, Della, DellaLinear, Breadcrumbs, BreadcrumbsTies]
    return [*native, *task_vectors, ModelStock, Sce, Mergekit]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers"), "train"


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return `mergekit`."""
    from storm_merging.mergefile.verb import mergekit

    return {"mergekit": mergekit}


@hookimpl
def storm_sections() -> dict[str, type]:
    """Return the section of the recipe `merge_yaml`, with the file that it reads."""
    from storm_merging.mergefile.section import MergeSection

    return {"merge": MergeSection}


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on merges."""
    from storm_merging.report import sections

    return sections(run)

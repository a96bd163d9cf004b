"""Structured pruning as in Minitron: scanners measure importance, compressors prune by it.

`importance` scores channels, neurons and heads, and `minitron_width` keeps the best;
`block_importance` scores runs of layers, and `minitron_depth` drops the least important one. One
scan serves every target size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storm_exp import hookimpl

if TYPE_CHECKING:
    from storm_exp.report import RunRecord, Section

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the scanners and the pruners."""
    from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
    from storm_minitron.depth.minitron_depth import MinitronDepth
    from storm_minitron.width.importance_scanner import ImportanceScanner
    from storm_minitron.width.minitron_width import MinitronWidth

    return [ImportanceScanner, BlockImportanceScanner, MinitronWidth, MinitronDepth]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers", "pyarrow"), "train"


@hookimpl
def storm_report_sections(run: RunRecord) -> list[Section]:
    """Return the report's sections on importance and pruning."""
    from storm_minitron.report import sections

    return sections(run)

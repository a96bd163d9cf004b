"""Making models smaller by leaving parts of them out (Minitron).

Scanners measure, pruners cut: `importance` finds what channels, neurons and heads are worth and
`minitron_width` keeps the best of them, `block_importance` finds what runs of layers are worth and
`minitron_depth` drops the least. One scan serves every target size.
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
    """Return the report's sections on what was measured and what was kept."""
    from storm_minitron.report import sections

    return sections(run)

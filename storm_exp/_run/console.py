"""Screen output of a run: first lines, a line per stage, a table at the end."""

from __future__ import annotations

import logging
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from storm_exp._contract.errors import GOES_ON
from storm_exp._contract.progress import Progress
from storm_exp._plan.notices import list_notices
from storm_exp._plan.plan import Plan
from storm_exp._plan.planned_artifact import PlannedArtifact, Status
from storm_exp._run.record import RunRecord


def say(text: str) -> None:
    """Write a line, without breaking progress bars; while a run goes on, into its log too."""
    Progress.write(text)
    logging.getLogger("storm_exp").info(text.strip())


def announce(plan: Plan, folder: Path) -> None:
    """Write the first lines of a run: scale, plan, store and folder."""
    for line in [headline(plan), *list_notices(plan)]:
        say(line)
    say(f"store  {shorten(plan.store.root)}")
    say(f"run    {shorten(folder)}")


def headline(plan: Plan) -> str:
    """Return the recipe of a plan, its scale, and how many artifacts are to be made."""
    recipe = plan.cells[0].recipe.name or "without a name"
    size = plan.scale
    return f"recipe {recipe}" + (f", {size}" if size else "") + f" · {summarise(plan)}"


def summarise(plan: Plan) -> str:
    """Return, for example, `9 cells: to make: 2 curator, 8 merger; kept: 1 judge, 1 curator`."""
    cells = f"{len(plan.cells)} cells: " if len(plan.cells) > 1 else ""
    missing = plan.to_make()
    kept = [node for node in plan.nodes.values() if node.status is Status.KEPT]
    if not missing:
        return f"{cells}nothing to make, all artifacts are kept: {len(kept)}"
    return f"{cells}to make: {_count(missing)}" + (f"; kept: {_count(kept)}" if kept else "")


def _count(nodes: list[PlannedArtifact]) -> str:
    counts = Counter(node.stage for node in nodes)
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def start_stage(node: PlannedArtifact, position: int, total: int) -> None:
    """Write that a stage begins."""
    say(f"[{position}/{total}] {node.title} ({node.component.name})")


def end_stage(node: PlannedArtifact, made_here: bool, seconds: float) -> None:
    """Write that a stage ended."""
    assert node.manifest is not None
    text = main_metric(node.manifest.metrics, node.manifest.main_metric)
    verb = "made in" if made_here else "made by another process, waited"
    say(f"  {node.title}: {verb} {seconds:.1f} s" + (f" · {text}" if text else ""))


def main_metric(metrics: dict[str, float], name: str) -> str:
    """Return `name value` of the main metric; empty if there is none."""
    return f"{name} {metrics[name]:.4g}" if name in metrics else ""


def conclude(
    record: RunRecord,
    rows: list[list[str]],
    files: dict[str, Path | None],
    lines: Sequence[str] = (),
) -> None:
    """Write the closing table of a run, how it ended, where its files are, and plugins' lines."""
    outcome = _outcome(record)
    logging.getLogger("storm_exp").info(outcome)
    warnings = [f"warning: {text}" for text in record.warnings()]
    out = ["", *align(rows), "", *warnings, outcome]
    latest = record.directory.parent.parent / "latest"
    if latest.resolve() != record.directory.resolve():  # on file systems without links
        latest = record.directory
    out += [f"{name:<8} {shorten(latest / file.name)}" for name, file in files.items() if file]
    print("\n".join([*out, *lines]), file=sys.stdout, flush=True)


def _outcome(record: RunRecord) -> str:
    """Return a sentence about how a run ended."""
    labels = {
        status: [stage.label for stage in record.stages() if stage.status == status]
        for status in ("made", "failed", "interrupted")
    }
    made = f"{len(labels['made'])} artifact" + "s" * (len(labels["made"]) != 1)
    if record.status == "interrupted":
        where = f" in {', '.join(labels['interrupted'])}" if labels["interrupted"] else ""
        resumable = [s.label for s in record.stages() if s.error.endswith(GOES_ON)]
        kept = [f"what was made before ({made}) is kept"] if labels["made"] else []
        kept += [f"the progress of {label} is kept" for label in resumable]
        anew = [label for label in labels["interrupted"] if label not in resumable]
        again = f"starts {', '.join(anew)} from the beginning" if anew else "continues from there"
        progress = " and ".join(kept) or "nothing was finished yet"
        return f"interrupted{where}: {progress}; the same command {again}"
    if labels["failed"]:
        return f"failed: {', '.join(labels['failed'])}"
    if labels["made"]:
        return f"made {made} in {record.seconds:.0f} s"
    return f"nothing to make: everything was kept ({record.seconds:.1f} s)"


def align(rows: list[list[str]]) -> list[str]:
    """Return lines with aligned columns, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            text.rjust(width) if _is_number(text) else text.ljust(width)
            for text, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).removeprefix("-").isdigit()


def shorten(path: Path) -> str:
    """Return a path, relative to the working directory if that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)

"""One side of a comparison: a run, a cell of a sweep, or an artifact."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from pathlib import Path

from storm_evaluation.evaluation import Evaluation
from storm_evaluation.reproduction.find import cell_of, recorded
from storm_evaluation.reproduction.original import Step, store_of
from storm_exp import Artifact, Manifest, StormError, lineage
from storm_exp.report import CellRecord, RunRecord
from storm_inference.targets.target import is_artifact, locate
from storm_report.run_folders import find_run

ROOT = "itself"
"""The label of an artifact that is compared, among those that it was made from."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Side:
    """The steps that one side consists of."""

    name: str
    steps: list[Step]
    """Inputs first. Those of an artifact are called by their components."""
    evaluations: dict[str, Path]
    """The evaluations that either side may have, by what they are of."""
    is_run: bool
    """Whether it is a run or a cell, whose steps are called by their stages."""


def find_side(word: str, outputs: Path) -> Side:
    """Return what a word names. Raises StormError for what is not there, and for a whole sweep.

    The word is a run (`latest`, a name, a folder, a part of a folder's name), the folder of a cell
    of a sweep, a stage of the latest run, the first digits of a key, or an artifact's folder.
    """
    path = Path(word).expanduser()
    if (cell := cell_of(path)) is not None:
        return _of_cell(*cell, path.name)
    if word == "latest" or (path / "run.json").is_file():
        return _of_run(outputs, word)
    stage = outputs / "latest" / word
    if word and stage.is_dir():
        return _of_artifact(word, stage, outputs)
    located = locate(word, outputs / "store")
    return _of_artifact(word, located[1], outputs) if located else _of_run(outputs, word)


def _of_run(outputs: Path, word: str) -> Side:
    try:
        run = find_run(outputs, word)
    except StormError as error:
        latest = outputs / "latest"
        stages = [path.name for path in sorted(latest.glob("*")) if is_artifact(path.resolve())]
        stage = f"a stage of the latest run ({', '.join(stages) or 'there is none'})"
        others = f"{stage} or the first digits of a key are taken, too"
        raise StormError(f"{error}; {others}") from error
    record = recorded(run)
    if record.is_sweep:
        cells = [os.path.relpath(run.folder / folder) for folder in record.cell_folders()]
        shown = ", ".join(cells[:3]) + (", …" if len(cells) > 3 else "")
        raise StormError(f"{word} is a sweep: name two of its {len(cells)} cells ({shown})")
    return _of_cell(record, record.cells[0], run.folder.name)


def _of_cell(record: RunRecord, cell: CellRecord, name: str) -> Side:
    store = store_of(record, cell)
    steps = [Step.of(stage, store) for stage in cell.stages if stage.digest]
    evaluations = {
        step.label: step.directory
        for step in steps
        if step.artifact == Evaluation.__name__ and step.directory is not None
    }
    return Side(name=name, steps=steps, evaluations=evaluations, is_run=True)


def _of_artifact(word: str, path: Path, outputs: Path) -> Side:
    place = path.resolve()
    if not is_artifact(place) or Manifest.read(place) is None:
        raise StormError(f"{word}: {place} is no artifact of a store, so nothing says what it is")
    artifact = Artifact(place, place.name)
    steps = []
    taken = Counter[str]()
    for manifest in lineage(artifact):
        taken[manifest.component] += 1
        number = taken[manifest.component]
        label = manifest.component if number == 1 else f"{manifest.component}_{number}"
        label = ROOT if manifest.key == place.name else label
        home = place.parents[1] / manifest.key[:2] / manifest.key
        steps.append(Step.of_manifest(label, manifest, manifest.payload(home)))
    return Side(name=word, steps=steps, evaluations=_evaluations(steps[-1], outputs), is_run=False)


def _evaluations(root: Step, outputs: Path) -> dict[str, Path]:
    """Return an evaluation itself, or those of a model in the latest run, by their stages."""
    if root.artifact == Evaluation.__name__ and root.directory is not None:
        return {ROOT: root.directory}
    latest = outputs / "latest"
    if not (latest / "run.json").is_file():
        return {}
    stages = [s for cell in RunRecord.read(latest.resolve()).cells for s in cell.stages]
    return {
        stage.stage: Path(stage.directory)
        for stage in stages
        if stage.artifact == Evaluation.__name__
        and stage.directory
        and root.key in stage.inputs.values()
    }

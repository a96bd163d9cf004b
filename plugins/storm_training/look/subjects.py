"""What is named on the command line of `look`: a stage, an artifact, a run, a file or a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from storm_exp import InputError, Manifest, did_you_mean, from_plugins
from storm_exp.report import RunRecord
from storm_inference.targets.contents import type_in_words
from storm_inference.targets.target import LATEST, is_artifact, locate
from storm_report.look.view import Subject, View
from storm_report.shown import labelled

_RECORD = "run.json"


@dataclasses.dataclass(frozen=True)
class Viewed:
    """Subjects with the view that shows them: one, or several side by side."""

    view: View
    subjects: list[Subject]


@dataclasses.dataclass(frozen=True)
class Found:
    """What a word on the command line names."""

    title: str
    viewed: list[Viewed]
    """In the order of a run."""
    gone: list[str]
    """Stages of a run whose files are no longer there."""


def find_subjects(word: str, store: Path) -> Found:
    """Return what a word on the command line names.

    Raises InputError, listing what can be looked at, for a word that names nothing, for what no
    view can show, and for what is no longer there.
    """
    located = locate(word, store)
    if located is None and not word.startswith(("/", ".", "~")) and (LATEST / word).exists():
        located = word, LATEST / word
    if located is None:
        raise InputError(f"nothing is called '{word}': {_alternatives(word, store)}")
    name, place = located
    if (place / _RECORD).is_file():
        record = RunRecord.read(place.resolve())
        title = f"{record.recipe or 'run'} · {record.when[:16].replace('T', ' ')}"
        return _of_run(title, record)
    folders = [place] if place.is_file() or is_artifact(place.resolve()) else _elements(place)
    subjects = [
        _subject(name if each == place else f"{name}/{each.name}", each) for each in folders
    ]
    gone = [subject.name for subject in subjects if not subject.is_there()]
    if gone:
        raise InputError(f"{', '.join(gone)}: its files are no longer in the store")
    viewed = _viewed(subjects)
    if not viewed:
        kinds = ", ".join(sorted({_kind(subject) for subject in subjects}))
        raise InputError(
            f"'{word}' ({kinds}) holds nothing to look at: give a data set, a token set, a trained "
            "model, an evaluation, a run, or a file of rows (.jsonl, .json, .parquet)"
        )
    return Found(name, viewed, [])


def find_model(word: str, store: Path) -> Subject:
    """Return the model that is named by `--model`; raises InputError if it has no tokenizer."""
    located = locate(word, store)
    if located is None:
        raise InputError(f"no model '{word}': {_alternatives(word, store)}")
    subject = _subject(*located)
    if not (subject.place / "config.json").is_file():
        raise InputError(f"--model {word}: {subject.place} is not a model: it has no config.json")
    return subject


def _of_run(title: str, record: RunRecord) -> Found:
    """Return what can be looked at of a run's artifacts, as far as they are still there."""
    subjects: list[Subject] = []
    gone = []
    for label, stage, _ in labelled(record):
        place = Path(stage.directory)
        if not stage.directory:
            continue
        if not place.is_dir():
            gone.append(label)
            continue
        subject = _subject(label, place)
        if subject.manifest is None:  # adopted: its files are outside the store
            root = next((s.store for s in subjects if s.store), None)
            known = Subject(name=label, place=place, store=root).neighbour(label, stage.key)
            subject = known or subject
        subjects.append(subject)
    gone += [subject.name for subject in subjects if not subject.is_there()]
    viewed = _viewed([subject for subject in subjects if subject.name not in gone])
    if not viewed:
        raise InputError(f"{record.directory}: no artifact of the run can be looked at")
    return Found(title, viewed, gone)


def _viewed(subjects: Sequence[Subject]) -> list[Viewed]:
    """Return the subjects that a view shows, those that are compared in one group."""
    views: list[View] = from_plugins("storm_views")
    groups: dict[int, Viewed] = {}
    found = []
    for subject in subjects:
        view = next((view for view in views if view.opens(subject.place)), None)
        if view is None:
            continue
        group = groups.get(id(view)) if view.together else None
        if group is None:
            group = groups[id(view)] = Viewed(view, [])
            found.append(group)
        group.subjects.append(subject)
    return found


def _subject(name: str, place: Path) -> Subject:
    place = place.resolve()
    if not is_artifact(place):
        return Subject(name=name, place=place)
    manifest = Manifest.read(place)
    if manifest is None:
        raise InputError(f"{place}: its manifest is damaged (see store verify)")
    root = place.parents[2]
    return Subject(name=name, place=manifest.payload(place), manifest=manifest, store=root)


def _elements(place: Path) -> list[Path]:
    """Return the elements of a stage that maps; a folder of files is one itself."""
    elements = [each for each in sorted(place.iterdir()) if is_artifact(each.resolve())]
    return elements or [place]


def _kind(subject: Subject) -> str:
    if subject.manifest is not None:
        return type_in_words(subject.manifest.artifact)
    return "a file" if subject.place.is_file() else "a folder"


def _alternatives(word: str, store: Path) -> str:
    labels = sorted(place.name for place in LATEST.glob("*") if place.is_dir())
    there = f"the latest run has {', '.join(labels)}" if labels else f"there is no run ({LATEST})"
    near = did_you_mean(word, labels)
    meant = near if "did you mean" in near else ""
    return f"{there}; it is not a key in {store}, a file or a folder either{meant}"

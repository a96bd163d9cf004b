"""The comparison of recorded steps with those of a rerun, stage by stage."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from storm_evaluation.evaluation import Evaluation
from storm_evaluation.reproduction.original import Step

OUTSIDE = "what it reads from outside the store has changed"


class Outcome(enum.Enum):
    """How a step of a rerun relates to the recorded one."""

    SAME = "same bits"
    OTHER_DATA = "other data"
    """Other bits, as what it reads from outside the store has changed."""
    DIFFERENT = "different bits"
    MISSING = "not made"


@dataclasses.dataclass(frozen=True)
class Compared:
    """A recorded step and what the rerun made of it."""

    then: Step
    now: Step | None
    outcome: Outcome
    why: list[str]
    """What differs in what determines it."""
    settings_differ: bool = False
    """Whether settings or edges are among it."""


def compare_steps(then: Sequence[Step], now: Sequence[Step]) -> list[Compared]:
    """Return the steps of a cell beside those of its rerun, matched by their labels."""
    made = {step.label: step for step in now if step.digest}
    labels = {step.key: step.label for step in then} | {step.key: step.label for step in now}
    return [_compare(step, made.get(step.label), labels) for step in then]


def first_difference(compared: Sequence[Compared]) -> Compared | None:
    """Return the first step whose bits differ, not counting those that read other data."""
    return next((each for each in compared if each.outcome is Outcome.DIFFERENT), None)


def touched(compared: Sequence[Compared]) -> list[Compared]:
    """Return the steps whose bits differ, and those that were made from any of them."""
    keys, found = set[str](), []
    for each in compared:  # inputs first
        if each.outcome is not Outcome.SAME or keys.intersection(each.then.input_keys()):
            keys.add(each.then.key)
            found.append(each)
    return found


def unexamined(compared: Sequence[Compared]) -> list[str]:
    """Return the steps whose bits differ by themselves, and of which no evaluation was made.

    They are named by their labels. `compared` may be the steps of several cells.
    """
    differing = {each.then.key for each in touched(compared)}
    found: dict[str, str] = {}
    for each in compared:
        inherited = differing.intersection(each.then.input_keys())
        if each.outcome is Outcome.DIFFERENT and not inherited:
            below = {each.then.key}
            made = [each.then]
            for other in compared:  # inputs first
                if below.intersection(other.then.input_keys()):
                    below.add(other.then.key)
                    made.append(other.then)
            if not any(step.artifact == Evaluation.__name__ for step in made):
                found[each.then.key] = each.then.label
    return list(found.values())


def _compare(then: Step, now: Step | None, labels: Mapping[str, str]) -> Compared:
    if now is None:
        return Compared(then, None, Outcome.MISSING, [])
    asked, others = what_differs(then, now, labels)
    outcome = Outcome.SAME
    outside = OUTSIDE in others
    if then.digest != now.digest:
        outcome = Outcome.OTHER_DATA if outside else Outcome.DIFFERENT
    return Compared(then, now, outcome, [*asked, *others], settings_differ=bool(asked))


def what_differs(then: Step, now: Step, labels: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return lines on settings and edges of two steps, and lines on what else determines them.

    `labels` names the stages of keys. What differs in the inputs themselves is not among it.
    """
    asked, others = _asked(then, now, labels), _around(then, now)
    if _reads_other_data(then, now, alike=not asked):
        others.append(OUTSIDE)
    return asked, others


def _asked(then: Step, now: Step, labels: Mapping[str, str]) -> list[str]:
    """Return lines on settings and edges that differ; `labels` names the stages of keys."""
    lines = []
    if then.component != now.component:
        lines.append(f"component: {then.component} → {now.component}")
    if then.settings is not None and now.settings is not None:
        known, today = flat(then.settings), flat(now.settings)
        for name in sorted(known.keys() | today.keys()):
            if not _alike(known.get(name), today.get(name)):
                lines.append(f"{name}: {known.get(name)} → {today.get(name)}")
    ports = sorted(then.inputs.keys() | now.inputs.keys())
    differing = [p for p in ports if _named(then, p, labels) != _named(now, p, labels)]
    return lines + [f"input {port} is another stage" for port in differing]


def _around(then: Step, now: Step) -> list[str]:
    """Return lines on the component's version and source."""
    if then.component != now.component:
        return []
    if then.version is not None and then.version != now.version:
        return [f"version of its component: {then.version} → {now.version}"]
    if then.source and now.source and then.source != now.source:
        return ["the source of its component changed under the same version"]
    return []


def _reads_other_data(then: Step, now: Step, alike: bool) -> bool:
    """Return whether what it reads from outside the store changed.

    Where nobody recorded that, the key tells, which covers nothing else if all else is `alike`.
    """
    if then.fingerprint is not None or then.settings is None:
        return bool(then.fingerprint != now.fingerprint) and then.settings is not None
    same = then.version == now.version and then.inputs == now.inputs
    return alike and same and then.key != now.key


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return settings with those of inner dicts under dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {}
        found |= {} if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _alike(then: Any, now: Any) -> bool:
    """Return whether two values are the same; of absolute paths, cards record the last part."""
    if isinstance(now, str) and isinstance(then, str) and PurePath(now).is_absolute():
        return then in (now, PurePath(now).name)
    return bool(then == now)


def _named(step: Step, port: str, labels: Mapping[str, str]) -> list[str]:
    given = step.inputs.get(port, [])
    return [labels.get(key, "") for key in ([given] if isinstance(given, str) else given)]

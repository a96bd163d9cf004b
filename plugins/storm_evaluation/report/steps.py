"""The effect of each step of a recipe: every model against those that it was made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storm_evaluation.comparison.comparison import NO_EFFECT, UNDECIDED
from storm_exp.report import CellRecord

_WORDS = {
    "better": "helped",
    "worse": "harmed",
    UNDECIDED: "undecided",
    NO_EFFECT: "no effect shown",
}
_OPPOSITE = {"better": "worse", "worse": "better"}


def steps(cell: CellRecord, models: Sequence[str]) -> list[tuple[int, int]]:
    """Return (parent, child) for every model, given by its key, and those that it was made from.

    Checkpoints between two models are skipped. A teacher at a port counts as a parent; a model that
    only made scores, answers or logits does not.
    """
    indices = {key: index for index, key in reversed(list(enumerate(models)))}
    pairs = []
    for index, key in enumerate(models):
        if indices[key] == index:
            pairs += [(parent, index) for parent in _parents(cell, key, indices)]
    return pairs


def _parents(cell: CellRecord, key: str, indices: Mapping[str, int]) -> list[int]:
    """Return the indices of the nearest models that a checkpoint was made from."""
    parents: dict[int, None] = {}
    seen, waiting = {key}, _inputs(cell, key)
    while waiting:
        above = waiting.pop(0)
        if above in seen:
            continue
        seen.add(above)
        if above in indices:
            parents[indices[above]] = None
        else:
            waiting += _inputs(cell, above)
    return list(parents)


def _inputs(cell: CellRecord, key: str) -> list[str]:
    """Return the keys of the checkpoints at the ports of a stage."""
    stage = cell.find(key)
    keys = [] if stage is None else list(stage.inputs.values())
    flat = [k for port in keys for k in ([port] if isinstance(port, str) else port)]
    return [k for k in flat if (parent := cell.find(k)) and parent.artifact == "Checkpoint"]


def step_differences(
    comparison: Mapping[str, Any], pairs: Sequence[tuple[int, int]], measure: str
) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (parent, child, difference child − parent) for the pairs that were compared."""
    known = {(entry["first"], entry["second"]): entry for entry in comparison.get("pairs", [])}
    differences = []
    for parent, child in pairs:
        entry = known.get((parent, child)) or known.get((child, parent))
        if entry and entry.get(measure):
            cell = entry[measure]
            differences.append(
                (parent, child, cell if (parent, child) in known else _reversed(cell))
            )
    return differences


def _reversed(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return a difference with the opposite sign."""
    verdict = cell["verdict"]
    return {
        **cell,
        "difference": -cell["difference"],
        "low": -cell["high"],
        "high": -cell["low"],
        "verdict": _OPPOSITE.get(verdict, verdict),
    }


def in_a_sentence(differences: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """Return a sentence on which steps helped, of (parent, child, difference) by name."""
    steps_by_word: dict[str, list[str]] = {}
    for parent, child, cell in differences:
        step = f"{child} over {parent} ({cell['difference']:+.3f})"
        steps_by_word.setdefault(_WORDS.get(cell["verdict"], cell["verdict"]), []).append(step)
    order = [word for word in _WORDS.values() if word in steps_by_word]
    text = "; ".join(f"{word}: {', '.join(steps_by_word[word])}" for word in order)
    return f"{text[:1].upper()}{text[1:]}." if text else ""

"""What each step of a recipe brought: every model against those that it was made of."""

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
    """Return (parent, child) for every model, given by its key, and those that it was made of.

    What lies between two models is passed over as long as it is a checkpoint. A teacher at a port
    counts as a parent; a model that only left scores, answers or logits behind does not.
    """
    places = {key: place for place, key in reversed(list(enumerate(models)))}
    found = []
    for place, key in enumerate(models):
        if places[key] == place:
            found += [(parent, place) for parent in _parents(cell, key, places)]
    return found


def _parents(cell: CellRecord, key: str, places: Mapping[str, int]) -> list[int]:
    """Return the places of the nearest models that a checkpoint was made of."""
    found: dict[int, None] = {}
    seen, waiting = {key}, _inputs(cell, key)
    while waiting:
        above = waiting.pop(0)
        if above in seen:
            continue
        seen.add(above)
        if above in places:
            found[places[above]] = None
        else:
            waiting += _inputs(cell, above)
    return list(found)


def _inputs(cell: CellRecord, key: str) -> list[str]:
    """Return the keys of the checkpoints at the ports of a stage."""
    stage = cell.find(key)
    keys = [] if stage is None else list(stage.inputs.values())
    flat = [k for each in keys for k in ([each] if isinstance(each, str) else each)]
    return [k for k in flat if (found := cell.find(k)) and found.artifact == "Checkpoint"]


def step_differences(
    comparison: Mapping[str, Any], pairs: Sequence[tuple[int, int]], measure: str
) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (parent, child, difference of child − parent) as far as the comparison has them."""
    known = {(entry["first"], entry["second"]): entry for entry in comparison.get("pairs", [])}
    found = []
    for parent, child in pairs:
        entry = known.get((parent, child)) or known.get((child, parent))
        if entry and entry.get(measure):
            turned = (parent, child) not in known
            found.append((parent, child, _turned(entry[measure]) if turned else entry[measure]))
    return found


def _turned(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Return a difference seen from the other side."""
    verdict = cell["verdict"]
    return {
        **cell,
        "difference": -cell["difference"],
        "low": -cell["high"],
        "high": -cell["low"],
        "verdict": _OPPOSITE.get(verdict, verdict),
    }


def in_a_sentence(differences: Sequence[tuple[str, str, Mapping[str, Any]]]) -> str:
    """Return what helped and what did not, of (parent, child, difference) by name."""
    said: dict[str, list[str]] = {}
    for parent, child, cell in differences:
        step = f"{child} over {parent} ({cell['difference']:+.3f})"
        said.setdefault(_WORDS.get(cell["verdict"], cell["verdict"]), []).append(step)
    order = [word for word in _WORDS.values() if word in said]
    text = "; ".join(f"{word}: {', '.join(said[word])}" for word in order)
    return f"{text[:1].upper()}{text[1:]}." if text else ""

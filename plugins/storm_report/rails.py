"""Drawing a directed graph from top to bottom, a node per line, as SVG: for narrow windows."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from storm_report.diagram import Box, describe, levels, sign
from storm_report.svg import LETTER, element, fitted, picture, text

_LINE, _LANE = 40.0, 13.0
"""Pixels: pitch of nodes and of rails."""


def rails(boxes: dict[str, Box], edges: Sequence[tuple[str, str]], width: float) -> Markup:
    """Return a drawing in which a rail runs from every node down to the last that uses it."""
    level = levels(list(boxes), list(edges))
    order = sorted(boxes, key=level.__getitem__)
    line = {name: place for place, name in enumerate(order)}
    last = {name: max([line[b] for a, b in edges if a == name], default=0) for name in order}
    lane = _lanes(order, last)

    def at(name: str) -> tuple[float, float]:
        return 7 + lane[name] * _LANE, 18 + line[name] * _LINE

    paths, nodes = [], []
    for a, b in edges:
        (x1, y1), (x2, y2) = at(a), at(b)
        bend = y2 - _LINE * 0.7
        curve = f"M{x1:g} {y1:g}V{bend:g}C{x1:g} {y2 - 10:g} {x2:g} {bend + 8:g} {x2:g} {y2:g}"
        paths.append(element("path", d=curve, class_="edge"))
    left = 7 + _LANE * (max(lane.values(), default=0) + 1)
    room = int((width - left) / LETTER)
    for name, shown in boxes.items():
        x, y = at(name)
        dot = element("title", shown.tip)
        nodes.append(element("circle", dot, cx=x, cy=y, r=5, class_=f"status {shown.class_}"))
        nodes.append(text(left, y + 1, fitted(shown.name, room), "label"))
        note = f"{shown.note} · {sign(shown.class_)} {shown.class_}"
        nodes.append(text(left, y + 15, fitted(note, room), "note"))
    return picture(width, _LINE * len(order) + 6, describe(boxes, edges), *paths, *nodes)


def _lanes(order: Sequence[str], last: dict[str, int]) -> dict[str, int]:
    """Return the rail of every node: the first that no node above it still needs."""
    lane: dict[str, int] = {}
    for place, name in enumerate(order):
        taken = {lane[other] for other in order[:place] if last[other] > place}
        lane[name] = next(n for n in range(place + 1) if n not in taken)
    return lane

"""Drawing a directed graph in layers from left to right, as SVG."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from markupsafe import Markup

from storm_report.svg import WIDTH, box, element, fitted, picture, text

_BOX, _ROW, _LANE = 42.0, 62.0, 26.0
"""Pixels: height of a box, pitch of boxes, and pitch of edges that pass between them."""
_LETTER, _WIDEST, _STRIP = 7.4, 182.0, 14.0
"""Pixels: assumed width of a letter, of the widest box, and of the strip that shows its state."""

_SIGNS = {"made": "✓", "kept": "=", "waited": "=", "failed": "✗", "interrupted": "✗"}

Vertex = tuple[str, int]
"""A node's name and a layer: the node, or the point where an edge from it passes that layer."""


@dataclasses.dataclass(kw_only=True)
class Box:
    """A node: two lines of text, a CSS class, and the number of artifacts it represents."""

    name: str
    note: str
    class_: str = ""
    count: int = 1
    tip: str = ""


def diagram(boxes: dict[str, Box], edges: list[tuple[str, str]], width: float = WIDTH) -> Markup:
    """Return a drawing of `boxes` and `edges`, which must have no cycles."""
    level = levels(list(boxes), edges)
    segments = _segments(level, edges)
    layers = _order(list(boxes), level, segments)
    y = _heights(layers, level, segments)
    # Wide enough for the longest name: many layers make a drawing wider than the page.
    longest = max((len(shown.name) for shown in boxes.values()), default=0)
    pitch = max(width / len(layers), min(_LETTER * longest + _STRIP + 18, _WIDEST) + 28)
    width = pitch * len(layers)
    wide = min(pitch - 28, _WIDEST)
    pad = (pitch - wide) / 2
    drawn = []
    for (a, layer), (b, after) in segments:
        start, end = layer * pitch + pad + wide, after * pitch + pad
        y1, y2, middle = y[a, layer], y[b, after], (start + end) / 2
        curve = (
            f"M{start:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {end:.1f} {y2:.1f}"
        )
        onward = f"h{wide:.1f}" if level[b] != after else ""
        drawn.append(element("path", d=curve + onward, class_="edge"))
    for name, shown in boxes.items():
        x, top = level[name] * pitch + pad, y[name, level[name]] - _BOX / 2
        if shown.count > 1:
            drawn.append(box(x + 4, top - 4, wide, _BOX, f"node {shown.class_}"))
        drawn.append(box(x, top, wide, _BOX, f"node {shown.class_}", shown.tip))
        drawn.append(box(x, top, _STRIP, _BOX, f"status {shown.class_}"))
        drawn.append(text(x + _STRIP / 2, top + 25, sign(shown.class_), "sign", "middle"))
        room, left = int((wide - _STRIP - 14) / _LETTER), x + _STRIP + 7
        drawn.append(text(left, top + 18, fitted(shown.name, room), "label"))
        drawn.append(text(left, top + 33, fitted(shown.note, room + 1), "note"))
    height = max(y.values(), default=0.0) + _BOX / 2 + 8
    return picture(width, height, describe(boxes, edges), *drawn)


def sign(class_: str) -> str:
    """Return a node's state as a sign, for those who do not see its colour."""
    return _SIGNS.get(class_, "")


def describe(boxes: dict[str, Box], edges: Sequence[tuple[str, str]]) -> str:
    """Return a graph in words, for those who do not see it."""
    told = []
    for name, shown in boxes.items():
        sources = ", ".join(a for a, b in edges if b == name)
        told.append(f"{shown.tip or name}" + (f", from {sources}" if sources else ""))
    return "graph of the stages: " + "; ".join(told)


def levels(names: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    """Return each node's layer: the length of the longest path to it."""
    level = dict.fromkeys(names, 0)
    for _ in names:
        for a, b in edges:
            level[b] = max(level[b], level[a] + 1)
    return level


def _segments(level: dict[str, int], edges: list[tuple[str, str]]) -> list[tuple[Vertex, Vertex]]:
    """Return the segments between adjacent layers; long edges of a node share a path."""
    segments: dict[tuple[Vertex, Vertex], None] = {}
    for a, b in edges:
        for layer in range(level[a], level[b] - 1):
            segments[(a, layer), (a, layer + 1)] = None
        segments[(a, level[b] - 1), (b, level[b])] = None
    return list(segments)


def _order(
    names: list[str], level: dict[str, int], segments: list[tuple[Vertex, Vertex]]
) -> list[list[Vertex]]:
    """Return the order of every layer from top to bottom, with few crossings."""
    places = dict.fromkeys([(n, level[n]) for n in names] + [p for s in segments for p in s])
    layers: list[list[Vertex]] = [[] for _ in range(max(level.values()) + 1)]
    for place in places:
        layers[place[1]].append(place)
    best, fewest = [list(layer) for layer in layers], _crossings(layers, segments)
    for sweep in range(12):
        side = sweep % 2
        rank = {p: float(i) for layer in layers for i, p in enumerate(layer)}
        for layer in layers[:: -1 if side else 1]:
            near = {p: [rank[s[side]] for s in segments if s[1 - side] == p] for p in layer}
            layer.sort(key=lambda p: sum(near[p]) / len(near[p]) if near[p] else rank[p])
            rank |= {p: float(i) for i, p in enumerate(layer)}
        crossings = _crossings(layers, segments)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    return best


def _crossings(layers: list[list[Vertex]], segments: list[tuple[Vertex, Vertex]]) -> int:
    rank = {p: i for layer in layers for i, p in enumerate(layer)}
    return sum(
        a[1] == c[1] and (rank[a] - rank[c]) * (rank[b] - rank[d]) < 0
        for (a, b), (c, d) in itertools.combinations(segments, 2)
    )


def _heights(
    layers: list[list[Vertex]], level: dict[str, int], segments: list[tuple[Vertex, Vertex]]
) -> dict[Vertex, float]:
    """Return vertical centres: near adjacent layers' neighbours, without overlaps in a layer."""

    def gap(a: Vertex, b: Vertex) -> float:
        real = (level[a[0]] == a[1]) + (level[b[0]] == b[1])
        return _LANE + (_ROW - _LANE) * real / 2

    y = {p: i * _ROW for layer in layers for i, p in enumerate(layer)}
    for sweep in range(24):
        for layer in layers[:: -1 if sweep % 2 else 1]:
            wanted = []
            for p in layer:
                near = [y[s[1 - i]] for s in segments for i in (0, 1) if s[i] == p]
                wanted.append(sum(near) / len(near) if near else y[p])
            placed: list[float] = []
            for i, want in enumerate(wanted):
                low = placed[-1] + gap(layer[i - 1], layer[i]) if i else want
                placed.append(max(want, low))
            shift = sum(w - v for w, v in zip(wanted, placed, strict=True)) / len(layer)
            y |= {p: v + shift for p, v in zip(layer, placed, strict=True)}
    top = min(y.values()) - _BOX / 2 - 8
    return {p: v - top for p, v in y.items()}

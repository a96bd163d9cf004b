"""Charts show their numbers, as valid and safe SVG."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from functools import partial
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_report.chart import (
    Bars,
    Line,
    Row,
    bar_chart,
    line_chart,
    row_chart,
    ticks,
)
from storm_report.diagram import Box, diagram, levels
from storm_report.heat_map import heat_map
from storm_report.interval_chart import Interval, interval_chart
from storm_report.rails import rails
from storm_report.svg import fitted, responsive, short, standalone

SVG = "{http://www.w3.org/2000/svg}"
NAUGHTY = "<script>alert('x')</script>\"&"


def parse(chart: str) -> Element:
    """Return the root of a picture; fails unless it is XML."""
    return ElementTree.fromstring(str(chart))


def of_class(root: Element, tag: str, name: str) -> list[Element]:
    """Return the elements that have a class."""
    return [e for e in root.iter(SVG + tag) if name in e.get("class", "").split()]


def bars(root: Element) -> list[Element]:
    """Return the bars, without the legend's swatches."""
    return [e for e in of_class(root, "rect", "bar") if e.get("height") != "11"]


def height(bar: Element) -> float:
    return float(bar.get("height", "nan"))


def charts(name: str) -> list[str]:
    """Return a chart of every kind with `name` wherever there is text."""
    two = [Bars(name=name, values=[1.0], colour=0), Bars(name=name, values=[2.0], colour=1)]
    lines = [Line(name=name, points=[(0, 1), (1, 2)], colour=0, marks=True)] * 2
    intervals = [Interval(name, 0.1, 0, 1, name)]
    return [
        bar_chart([name], two, y_title=name),
        line_chart(lines, x_title=name, y_title=name),
        row_chart([Row(label=name, parts=[(name, 1.0, "kept")], note=name)], legend=[(name, "s1")]),
        heat_map([name], [name], {(name, name): 1.0}, {(name, name)}, x_title=name),
        *(interval_chart(intervals, title=name, width=width) for width in (960, 358)),
        diagram({name: Box(name=name, note=name, tip=name)}, []),
    ]


@pytest.mark.parametrize("chart", charts(NAUGHTY))
def test_text_is_escaped_in_every_chart(chart):
    root = parse(chart)
    assert "script" not in {e.tag.removeprefix(SVG) for e in root.iter()}
    assert NAUGHTY[:9] in "".join(root.itertext())


@pytest.mark.parametrize("chart", charts("model"))
def test_a_chart_for_a_file_of_its_own_brings_its_style(chart):
    root = parse(standalone(chart))
    assert root[0].tag == SVG + "style"
    assert "prefers-color-scheme: dark" in (root[0].text or "")


def test_bars_are_as_high_as_their_values():
    series = [
        Bars(name="a", values=[0.2, 0.4], colour=0),
        Bars(name="b", values=[0.8, 1], colour=1),
    ]
    heights = [height(bar) for bar in bars(parse(bar_chart(["x", "y"], series, y_title="")))]
    assert heights == pytest.approx([heights[3] * v for v in (0.2, 0.8, 0.4, 1.0)], abs=0.1)


def test_whiskers_are_twice_the_error_and_only_where_there_is_one():
    series = [Bars(name="a", values=[0.5, 1.0], errors=[0.1, None], colour=0)]
    root = parse(bar_chart(["x", "y"], series, y_title=""))
    (whisker,) = of_class(root, "path", "whisker")
    low, high = re.findall(r"M\S+ (\S+)V(\S+)", whisker.get("d", ""))[0]
    full = height(bars(root)[1])
    assert float(low) - float(high) == pytest.approx(0.2 * full, abs=0.2)


def test_dots_fill_the_height_whatever_their_size():
    series = [Bars(name="a", values=[2.31, 2.35], errors=[0.01, None], colour=0)]
    root = parse(bar_chart(["x", "y"], series, y_title="", dots=True))
    assert not bars(root)
    low, high = (
        float(dot.get("d", "").split()[1].partition("m")[0])
        for dot in of_class(root, "path", "bar")
    )
    assert low - high > 150
    (whisker,) = of_class(root, "path", "whisker")
    bottom, top = re.findall(r"M\S+ (\S+)V(\S+)", whisker.get("d", ""))[0]
    assert float(bottom) - float(top) == pytest.approx((low - high) / 2, abs=0.2)
    assert float(bottom) + float(top) == pytest.approx(2 * low, abs=0.2)


def test_an_axis_counts_large_numbers_in_thousands():
    root = parse(bar_chart(["a"], [Bars(name="a", values=[190_000.0], colour=0)], y_title=""))
    ticks_of = [e.text for e in of_class(root, "text", "tick")]
    assert ticks_of == ["0", "50 k", "100 k", "150 k", "200 k"]


def test_a_missing_value_has_no_bar():
    root = parse(bar_chart(["x", "y"], [Bars(name="a", values=[None, 1], colour=0)], y_title=""))
    assert len(bars(root)) == 1


def test_a_negative_bar_hangs_from_zero():
    root = parse(bar_chart(["x", "y"], [Bars(name="a", values=[-1, 1], colour=0)], y_title=""))
    below, above = bars(root)
    assert float(below.get("y", "")) == pytest.approx(float(above.get("y", "")) + height(above))


def test_a_line_rises_where_its_values_rise():
    line = Line(name="loss", points=[(0, 3.0), (1, 1.0), (2, 2.0)], colour=0)
    root = parse(line_chart([line], x_title="step", y_title="loss"))
    (path,) = of_class(root, "path", "line")
    points = [tuple(map(float, p.split())) for p in path.get("d", "")[1:].split("L")]
    xs, ys = zip(*points, strict=True)
    assert list(xs) == sorted(xs)
    assert ys[0] < ys[2] < ys[1]


def test_parts_of_a_row_lie_end_to_end():
    row = Row(label="step", parts=[("kept", 3.0, "kept"), ("rejected", 1.0, "dropped")])
    kept, rejected = bars(parse(row_chart([row], maximum=4.0)))
    assert float(kept.get("width", "")) == pytest.approx(
        3 * float(rejected.get("width", "")), rel=0.01
    )
    end = float(kept.get("x", "")) + float(kept.get("width", ""))
    assert float(rejected.get("x", "")) == pytest.approx(end, abs=0.2)


def test_a_heat_map_outlines_what_is_marked_and_shades_by_value():
    values = {("q", "0"): 1.0, ("q", "1"): 3.0, ("k", "0"): 2.0}
    root = parse(heat_map(["q", "k"], ["0", "1"], values, {("q", "1")}, x_title="layer"))
    shades = [float(re.findall(r"[\d.]+", g.get("style", ""))[0]) for g in root.iter(SVG + "g")]
    assert shades[0] < shades[2] < shades[1]
    (marked,) = of_class(root, "rect", "marked")
    assert marked.findtext(SVG + "title") == "q, 1: 3.00"


def test_a_heat_map_by_row_gives_every_row_the_whole_range():
    values = {("q", "0"): 1.0, ("q", "1"): 3.0, ("k", "0"): 100.0, ("k", "1"): 200.0}
    root = parse(heat_map(["q", "k"], ["0", "1"], values, set(), x_title="", by_row=True))
    shades = [g.get("style") for g in root.iter(SVG + "g")]
    assert shades[:2] == shades[2:]


def test_a_chart_of_nothing_is_nothing():
    assert bar_chart([], [], y_title="") == ""
    assert line_chart([], x_title="", y_title="") == ""
    assert row_chart([]) == ""
    assert heat_map([], [], {}, set(), x_title="") == ""


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_are_even_and_cover_their_range(low, span):
    found = ticks(low, low + span)
    step = found[1] - found[0]
    assert found[0] <= low + 1e-6 * step + 1e-9 * abs(low)
    assert found[-1] >= low + span - 1e-6 * step - 1e-9 * abs(low)
    assert 2 <= len(found) <= 8


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.12345, "0.123"), (12, "12.0"), (4321, "4321"), (1e6, "1,000,000")],
)
def test_numbers_are_short(value, text):
    assert short(value) == text


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    """Draw names and edges without cycles: from a name to one that comes later."""
    names = [f"n{i}" for i in range(draw(st.integers(1, 9)))]
    pairs = list(itertools.combinations(names, 2))
    return names, draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []


@given(graphs())
def test_a_diagram_runs_from_left_to_right_and_its_boxes_do_not_overlap(graph):
    names, edges = graph
    level = levels(names, edges)
    assert all(level[a] < level[b] for a, b in edges)
    root = parse(diagram({n: Box(name=n, note="", tip=n) for n in names}, edges))
    found = {e.findtext(SVG + "title"): e for e in of_class(root, "rect", "node")}
    assert sorted(found) == sorted(names)
    at = {n: (float(e.get("x", "")), float(e.get("y", ""))) for n, e in found.items()}
    assert all(at[a][0] < at[b][0] for a, b in edges)
    for a, b in itertools.combinations(names, 2):
        if level[a] == level[b]:
            assert abs(at[a][1] - at[b][1]) >= float(found[a].get("height", ""))


@given(graphs())
def test_rails_run_downwards_and_no_two_nodes_share_a_line(graph):
    names, edges = graph
    root = parse(rails({n: Box(name=n, note="", tip=n) for n in names}, edges, 358))
    nodes = {e.findtext(SVG + "title"): e for e in of_class(root, "circle", "status")}
    assert sorted(nodes) == sorted(names)
    height = {n: float(e.get("cy", "")) for n, e in nodes.items()}
    assert len(set(height.values())) == len(names)
    assert all(height[a] < height[b] for a, b in edges)
    assert len(of_class(root, "path", "edge")) == len(edges)


@given(graphs())
def test_a_rail_passes_no_other_node(graph):
    names, edges = graph
    root = parse(rails({n: Box(name=n, note="", tip=n) for n in names}, edges, 358))
    nodes = {e.findtext(SVG + "title"): e for e in of_class(root, "circle", "status")}
    at = {n: (float(e.get("cx", "")), float(e.get("cy", ""))) for n, e in nodes.items()}
    for a, b in edges:
        between = [at[n][0] for n in names if at[a][1] < at[n][1] < at[b][1]]
        assert at[a][0] not in between


def test_the_states_of_a_graph_are_told_without_colour():
    boxes = {
        "a": Box(name="a", note="", class_="made", tip="a (x): 1 made"),
        "b": Box(name="b", note="", class_="failed", tip="b (y): 1 failed"),
    }
    for drawn in (diagram(boxes, [("a", "b")]), rails(boxes, [("a", "b")], 358)):
        text = " ".join(parse(drawn).itertext())
        assert "✓" in text and "✗" in text
        told = parse(drawn).get("aria-label")
        assert told == "graph of the stages: a (x): 1 made; b (y): 1 failed, from a"


def test_bars_of_a_narrow_window_stand_in_rows_with_names_in_full():
    names = ["following", "lookup", "reasoning", "tools", "mean"]
    draw = partial(bar_chart, names, [Bars(name="a", values=[1.0] * 5, colour=0)], y_title="")
    wide, narrow = (parse(draw(width=width)) for width in (960, 358))
    for root in (wide, narrow):
        assert [e.text for e in of_class(root, "text", "name")] == names
        assert len({height(bar) for bar in bars(root)}) == 1
    assert len({bar.get("y") for bar in bars(wide)}) == 1
    assert len({bar.get("y") for bar in bars(narrow)}) == 2


def test_a_responsive_chart_of_nothing_is_nothing():
    assert responsive(partial(row_chart, [])) == ""


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("merger.t", "merger.t"),
        ("a_longer_name_than_there_is_room", "a_longer_name_…"),
        ("数据集数据集数据集", "数据集数据集数…"),
        ("mmmmmmmmmmmmmmmm", "mmmmmmmm…"),
        ("", ""),
    ],
)
def test_a_label_is_cut_by_the_width_of_its_letters(label, shown):
    assert fitted(label, 16) == shown


def test_a_wide_chart_has_room_for_a_note_of_a_few_words():
    note = "against the same tokens without new layers"
    assert f">{note}<" in interval_chart([Interval("depth", 0.1, 0.0, 0.2, note)], title="effect")
    long = interval_chart([Interval("depth", 0.1, 0.0, 0.2, 3 * note)], title="effect")
    assert f">{note}" in long
    assert "…<" in long

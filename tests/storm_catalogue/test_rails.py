"""The drawing of graphs: what is read from it is the graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storm_catalogue.showing.rails import NODE, draw

UP, DOWN, LEFT, RIGHT = "up", "down", "left", "right"
SIDES = {
    "│": {UP, DOWN},
    "─": {LEFT, RIGHT},
    "╯": {UP, LEFT},
    "╰": {UP, RIGHT},
    "┴": {UP, LEFT, RIGHT},
    "┤": {UP, DOWN, LEFT},
    "├": {UP, DOWN, RIGHT},
    "┼": {UP, DOWN, LEFT, RIGHT},
}
"""To which sides a character leads."""


def read(lines: list[str]) -> list[set[int]]:
    """Return, for each line, the lines from which its node takes, by following the drawing."""
    nodes = [line.index(NODE) for line in lines]

    def above(row: int, column: int) -> int:
        """Return the line of the node from which a rail comes down to a place."""
        row -= 1
        while lines[row][column] != NODE:
            assert DOWN in SIDES[lines[row][column]], f"a rail begins nowhere: {lines[row]}"
            row -= 1
        return row

    found = []
    for row, line in enumerate(lines):
        taken = set()
        for step, side in ((-1, LEFT), (1, RIGHT)):
            place = nodes[row] + step
            back = RIGHT if step < 0 else LEFT
            # A rail drawn through stands between two pieces of the beam.
            while 0 <= place < len(line) and line[place] in "─│╯╰┴┤├┼":
                sides = SIDES[line[place]]
                if line[place] == "│":
                    if line[place - step] != "─":
                        break
                elif back not in sides:
                    break
                elif UP in sides:
                    taken.add(above(row, place))
                if line[place] != "│" and side not in sides:
                    break
                place += step
        if row and leads_down(lines[row - 1], nodes[row]):
            taken.add(above(row, nodes[row]))
        found.append(taken)
    return found


def leads_down(line: str, column: int) -> bool:
    """Return whether something leads down from a place."""
    return column < len(line) and (line[column] == NODE or DOWN in SIDES.get(line[column], set()))


@st.composite
def graphs(draw_from: st.DrawFn) -> dict[str, list[str]]:
    """Return up to twelve stages with inputs among those before."""
    names = [f"stage{number}" for number in range(draw_from(st.integers(0, 12)))]
    return {
        name: draw_from(st.lists(st.sampled_from(names[:place]), unique=True, max_size=4))
        if place
        else []
        for place, name in enumerate(names)
    }


@given(graphs())
def test_the_drawing_leads_from_each_stage_to_its_inputs(graph):
    lines = draw(graph)
    assert len(lines) == len(graph)
    assert len({len(line) for line in lines}) <= 1
    place = {name: number for number, name in enumerate(graph)}
    assert read(lines) == [{place[each] for each in taken} for taken in graph.values()]


def test_a_merge_of_two():
    assert draw({"a": [], "b": [], "merge": ["a", "b"], "evaluate": ["merge"]}) == [
        "●  ",
        "│ ●",
        "●─╯",
        "●  ",
    ]

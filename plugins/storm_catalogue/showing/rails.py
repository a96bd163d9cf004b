"""Drawing of a graph in a terminal: a line per stage, its inputs as rails from above."""

from __future__ import annotations

NODE, RAIL, BEAM = "●", "│", "─"
_JOINTS = {
    # (goes on below, comes from the left, goes on to the right): an input joins
    (False, True, False): "╯",
    (False, False, True): "╰",
    (False, True, True): "┴",
    (True, True, False): "┤",
    (True, False, True): "├",
    (True, True, True): "┼",
}


def draw(inputs: dict[str, list[str]]) -> list[str]:
    """Return a line per stage, of equal length; stages are given with their inputs, inputs first.

    A rail begins below a stage and ends at the last one that takes its artifact. Where a rail is
    crossed and not joined, it is drawn through.
    """
    waiting = {name: sum(name in taken for taken in inputs.values()) for name in inputs}
    rails: list[str] = []
    """The stage of each column; empty if none."""
    blocked = -1
    lines = []
    for name, taken in inputs.items():
        joined = [rails.index(each) for each in dict.fromkeys(taken)]
        before = list(rails)
        for column in joined:
            waiting[rails[column]] -= 1
        ended = [column for column in joined if not waiting[rails[column]]]
        place = min(ended, default=_free(rails, blocked))
        rails += [""] * (place + 1 - len(rails))
        for column in ended:
            rails[column] = ""
        rails[place] = name if waiting[name] else ""
        lines.append(_line(place, joined, before, rails))
        # The column below an end: a stage that stood there would look connected.
        blocked = -1 if waiting[name] else place
    width = max(map(len, lines), default=0)
    return [line.ljust(width) for line in lines]


def _free(rails: list[str], blocked: int) -> int:
    """Return the first column without a rail, other than the blocked one."""
    columns = [column for column, name in enumerate(rails) if not name and column != blocked]
    return min(columns, default=len(rails) + (blocked == len(rails)))


def _line(place: int, joined: list[int], before: list[str], after: list[str]) -> str:
    first, last = min([place, *joined]), max([place, *joined])
    cells = []
    for column in range(len(after)):
        left, right = first < column <= last, first <= column < last
        if column == place:
            cell = NODE
        elif column in joined:
            cell = _JOINTS[bool(after[column]), left, right]
        elif column < len(before) and before[column]:
            cell = RAIL
        else:
            cell = BEAM if left and right else " "
        cells.append(cell + (BEAM if right else " "))
    return "".join(cells).rstrip()

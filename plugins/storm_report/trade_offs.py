"""The report's section on a sweep's scores against size and cost of its models."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from markupsafe import Markup

from storm_exp.report import CellRecord, Place, RunRecord, Section, StageRecord, duration
from storm_report.cell_names import cell_name, seedless_settings
from storm_report.frontier import dominators
from storm_report.markup import figure, number, size, table
from storm_report.run_table import Measure, groups, spread
from storm_report.scatter_chart import Dot, scatter_chart
from storm_report.seed_mean import INTERVAL, counted_seeds, half_interval
from storm_report.svg import responsive
from storm_report.whereabouts import find_winner, is_lower_better, judged

NOT_DOMINATED, DOMINATED = "◆ not dominated", "○ dominated by {}"


@dataclasses.dataclass(frozen=True)
class _Cost:
    """What a model takes: a name, its amount in a cell (None if unknown), and how it is shown."""

    name: str
    of: Callable[[CellRecord, StageRecord], float | None]
    shown: Callable[[float], str]
    digits: int = 15
    """To which it is rounded: times differ a little whenever they are measured."""


def trade_off_sections(record: RunRecord) -> list[Section]:
    """Return the section, if the cells of a sweep have scores that can be compared."""
    if record.rehearsal or isinstance(find_winner(record), str):
        return []
    grouped = [cells for _, cells in groups(record)]
    measured = [[m for cell in cells if (m := judged(cell))] for cells in grouped]
    names = [cell_name(settings) for settings in seedless_settings(record)]
    scores = [spread([m.value for m in each]) for each in measured]
    counts = [len(each) for each in measured]
    halves = [half_interval(sd, n) for (_, sd), n in zip(scores, counts, strict=True)]
    first = measured[0][0]
    sign = -1.0 if is_lower_better(first.metric) else 1.0
    title = f"{first.metric} of {first.stage.stage}"
    header = ["no.", "cell", *(["n"] if max(counts) > 1 else []), title]
    columns: list[list[str]] = [
        [str(place + 1) for place in range(len(grouped))],
        names,
        *([list(map(str, counts))] if max(counts) > 1 else []),
        [_score(mean, half) for (mean, _), half in zip(scores, halves, strict=True)],
    ]
    charts, same = Markup(), []
    for cost in _COSTS:
        amounts = [
            _amount(cost, cells, each) for cells, each in zip(grouped, measured, strict=True)
        ]
        known = [amount for amount in amounts if amount is not None]
        if len(known) < len(amounts):
            continue
        header.append(cost.name)
        columns.append([cost.shown(amount) for amount in known])
        if len(set(known)) < 2:
            same.append(f"{cost.name}: {cost.shown(known[0])}")
            continue
        points = [(amount, sign * mean) for amount, (mean, _) in zip(known, scores, strict=True)]
        above = dominators(points)
        header.append(f"score against {cost.name}")
        columns.append([NOT_DOMINATED if b is None else DOMINATED.format(b + 1) for b in above])
        dots = [
            Dot(place + 1, names[place], known[place], scores[place][0], halves[place], b is None)
            for place, b in enumerate(above)
        ]
        draw = partial(scatter_chart, dots, x_title=cost.name, y_title=title)
        charts += figure(responsive(draw), _caption(cost, counts, sign))
    note = _note(same, grouped)
    html = charts + figure(table(header, zip(*columns, strict=True), "sweep"), note)
    return [Section("Score against size and cost", html, place=Place.TOP)]


def _caption(cost: _Cost, counts: list[int], sign: float) -> str:
    over = (
        f"Means over {counted_seeds(counts)}, whiskers: {INTERVAL}."
        if max(counts) > 1
        else "One seed of each cell: no intervals."
    )
    good = "high" if sign > 0 else "low"
    return (
        f"Scores against {cost.name}, by the numbers of the cells in the table. ◆ and the dashed "
        f"line: not dominated, no other cell has as {good} a score for as little; ○ dominated. "
        f"{over} That a cell is dominated is said of these figures, not that it is worse."
    )


def _note(same: list[str], grouped: list[list[CellRecord]]) -> str:
    alone = [_history(cell, cell.stages) for cells in grouped for cell in cells]
    together = {key: seconds for each in alone for key, seconds in each.items()}
    apart = math.fsum(math.fsum(each.values()) for each in alone)
    text = (
        "Time: the seconds of all stages that a model comes from, each once, as measured when it "
        "was made, to two digits. The whole sweep with its evaluations took "
        f"{duration(math.fsum(together.values()))}, stages that cells share counted once; one by "
        f"one its cells would have taken {duration(apart)}."
    )
    return text + (f" The same in all cells, {'; '.join(same)}." if same else "")


def _score(mean: float, half: float) -> str:
    return f"{mean:.4g} [{mean - half:.4g}, {mean + half:.4g}]" if half else f"{mean:.4g}"


def _amount(cost: _Cost, cells: list[CellRecord], measured: list[Measure]) -> float | None:
    """Return the mean over the seeds of what a cell's model takes, None if it is not known."""
    found = [
        cost.of(cell, cell.find(str(m.stage.inputs.get("model"))) or m.stage)
        for cell, m in zip(cells, measured, strict=True)
    ]
    known = [amount for amount in found if amount is not None]
    if not known or len(known) < len(found):
        return None
    mean, _ = spread(known)
    return float(f"{mean:.{cost.digits}g}")


def _parameters(cell: CellRecord, model: StageRecord) -> float | None:
    count = model.spec.get("parameters")
    return float(count) if count else None


def _bytes(cell: CellRecord, model: StageRecord) -> float | None:
    """Return the bytes of a model's exported files, else of its own weights."""
    exported = [
        s for s in cell.stages if s.inputs.get("model") == model.key and "bytes" in s.metrics
    ]
    if exported:
        return min(stage.metrics["bytes"] for stage in exported)
    files = list(Path(model.directory).glob("*.safetensors")) if model.is_whole else []
    return float(sum(file.stat().st_size for file in files)) or None


def _seconds(cell: CellRecord, model: StageRecord) -> float | None:
    return math.fsum(_history(cell, [model]).values()) or None


def _history(cell: CellRecord, stages: list[StageRecord]) -> dict[str, float]:
    """Return the seconds by key of stages and of all that they come from."""
    seconds: dict[str, float] = {}
    waiting = list(stages)
    while waiting:
        stage = waiting.pop()
        if stage.key not in seconds:
            seconds[stage.key] = stage.seconds or 0.0
            keys = [
                k
                for port in stage.inputs.values()
                for k in ([port] if isinstance(port, str) else port)
            ]
            waiting += [found for key in keys if (found := cell.find(key))]
    return seconds


_COSTS = (
    _Cost("parameters", _parameters, number),
    _Cost("bytes", _bytes, size),
    _Cost("seconds", _seconds, duration, digits=2),
)

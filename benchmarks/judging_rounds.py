"""Ways to judge that take turns, and what their figures say."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable

from judging_ways import ANSWER_TOKENS, Rows, Served, Taken, through_transformers
from results import table
from storm_inference.engines.transformers_engine import TransformersEngine
from storm_inference.servers.server import Server

FEW = 4
"""Requests at once in the second comparison: as many rows as one of our requests holds."""
WRITTEN_BAR, PREFILL_BAR = 10.0, 0.8
TRANSFORMERS = "transformers, our scorer"
APART, ROW_BY_ROW = "vLLM, a request a question", "the same, row by row"
PAIRED = "vLLM, both questions beside each other"
WRITTEN, FIRST = f"vLLM, JSON of {ANSWER_TOKENS} tokens", "the same, its first token alone"
PAIRED_FEW, WRITTEN_FEW = f"{PAIRED}, {FEW} rows at once", f"{WRITTEN}, {FEW} rows at once"
_NAMES = {
    TRANSFORMERS: "transformers",
    APART: "request_a_question",
    ROW_BY_ROW: "row_by_row",
    PAIRED: "paired",
    WRITTEN: "written",
    FIRST: "first_token",
    PAIRED_FEW: "paired_few",
    WRITTEN_FEW: "written_few",
}

Runs = dict[str, list[Taken]]
"""What each way took, by name, in each round."""


def take_turns(
    rows: Rows,
    engine: TransformersEngine,
    server: Server | None,
    *,
    requests: int,
    rounds: Iterable[int],
) -> Runs:
    """Have all ways judge the rows in each round, our scorer alone where there is no server."""
    ways: dict[str, Callable[[], Taken]] = {}
    ways[TRANSFORMERS] = lambda: through_transformers(engine, rows)
    if server is not None:
        many, single, few = (Served(server, count) for count in (requests, 1, FEW))
        ways[APART] = lambda: many.apart(rows)
        ways[ROW_BY_ROW] = lambda: many.row_by_row(rows)
        ways[PAIRED] = lambda: many.paired(rows)
        ways[WRITTEN] = lambda: many.written(rows)
        ways[FIRST] = lambda: many.written(rows, 1)
        ways[PAIRED_FEW] = lambda: single.paired(rows)
        ways[WRITTEN_FEW] = lambda: few.written(rows)
        many.written(rows, 2)  # the first pass of a server is slower
    taken: Runs = {name: [] for name in ways}
    for number in rounds:
        for name in reversed(ways) if number % 2 else ways:
            taken[name].append(ways[name]())
            print(f"{name}: {taken[name][-1].seconds:.1f} s", flush=True)
    return taken


def furthest(taken: Runs) -> float:
    """Return how far any log-probability of a label is from our scorer's first one."""
    ours = taken[TRANSFORMERS][0].logs
    return max(
        abs(a - b)
        for runs in taken.values()
        for one in runs
        if one.logs
        for row, other in zip(ours, one.logs, strict=True)
        for labels, others in zip(row, other, strict=True)
        for a, b in zip(labels, others, strict=True)
    )


def figures(taken: Runs, rows: Rows) -> dict[str, float]:
    """Return rows per second and prefill tokens a row of each way, medians of the rounds."""
    count = len(rows.questions)
    found = {}
    for name, runs in taken.items():
        short = _NAMES[name]
        seconds = statistics.median(one.seconds for one in runs)
        found[f"{short}_rows_per_second"] = count / seconds
        found[f"{short}_prefill_tokens_per_row"] = (
            statistics.median(one.prefill for one in runs) / count
        )
    return found


def describe(taken: Runs, rows: Rows) -> str:
    """Return the figures as Markdown, with what they say about the bars."""
    count, found = len(rows.questions), figures(taken, rows)
    seconds = {name: 1 / found[f"{_NAMES[name]}_rows_per_second"] for name in taken}
    prefill = {name: found[f"{_NAMES[name]}_prefill_tokens_per_row"] for name in taken}
    lines = []
    for name, runs in taken.items():
        rates = [count / one.seconds for one in runs]
        line = [name, f"{1 / seconds[name]:.2f}", f"{min(rates):.2f} to {max(rates):.2f}"]
        lines.append([*line, f"{prefill[name]:.0f}"])
    text = table(["", "rows/s, median", "range", "prefill tokens a row"], lines)
    if PAIRED not in taken:
        return text
    faster = seconds[WRITTEN] / seconds[PAIRED]
    few = seconds[WRITTEN_FEW] / seconds[PAIRED_FEW]
    share, beside = (prefill[name] / prefill[APART] for name in (PAIRED, ROW_BY_ROW))
    further = (seconds[WRITTEN] - seconds[FIRST]) / (ANSWER_TOKENS - 1)
    read = seconds[FIRST] / prefill[FIRST]
    needed = (WRITTEN_BAR * seconds[PAIRED] - seconds[FIRST]) / (ANSWER_TOKENS - 1)
    return f"""{text}

- Beside each other, the two questions are {faster:.2f} times as fast as JSON that is written
  ({_verdict(faster >= WRITTEN_BAR)}: at least {WRITTEN_BAR:g}), and {few:.2f} times where {FEW}
  rows are asked at once.
- They compute {share:.2f} of the prompt tokens of a request a question
  ({_verdict(share <= PREFILL_BAR)}: at most {PREFILL_BAR:g}). Where each is a request of its own
  and those of a row follow each other, it is {beside:.2f}.
- A token of a prompt takes {1e3 * read:.3f} ms, one of an answer {1e3 * further:.3f} ms,
  {further / read:.1f} times as much: an answer costs as much as
  {ANSWER_TOKENS * further / read:.0f} tokens of prompt, and a row has {prefill[FIRST]:.0f}.
  {WRITTEN_BAR:g} times as fast would need answers that take {1e3 * needed:.1f} ms a token."""


def _verdict(met: bool) -> str:
    return "the bar is met" if met else "the bar is missed"

"""How races of cells do: how often they drop the best cell, and what they find for what they cost.

    python benchmarks/race.py made                  1,000 races on made-up data, in minutes
    python benchmarks/race.py made --trials 100
    python benchmarks/race.py recorded              replays of a recorded grid of the miniature

**made**: 27 cells answer four tasks of 160 questions over five seeds. Questions differ in
difficulty, trained models of a cell by a run effect (its standard deviation is of the mean score),
and with heterogeneity questions differ in what a cell does to them. The best cell is 0.03 above
all others; beside it, a race among equals, and one of cells that spread. The cost is the share of
the grid's answers that a race asks for.

**recorded**: race_grid.json holds the answers of 27 cells of Storm's miniature (three ways to
choose the data, nine weights of the merge) over five seeds, and the FLOPs of each stage
(race_record.py). A replay shuffles the seeds and questions. Regret is the score of the best cell
less that of the one that was chosen, over all seeds and questions. Stages that cells share count
once; the base model, which stands for one that was downloaded, does not count.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parent))
from results import table, write_section
from storm_evaluation.comparison.significance import Floats
from storm_evaluation.race.elimination import Elimination, Mask
from storm_evaluation.race.ladder import ladder

CELLS, TASKS, QUESTIONS, SEEDS, GAP = 27, 4, 160, 5, 0.03
RUNGS = ladder([20, 60], SEEDS)
_CHUNK = 20
_MEAN, _SD = 0.3, 1.8
"""Of the questions' logits."""


@dataclasses.dataclass(frozen=True)
class World:
    """What is drawn: logits of right answers."""

    run_sd: float
    own_sd: float
    """Standard deviation of what a question does to a cell, in logits."""
    effects: tuple[float, ...]
    """Scores of the cells over that of the worst."""

    def draw(self, races: int, seed: int) -> Iterator[list[Floats]]:
        """Yield the answers of some races at a time, a task [races, cells, seeds, questions]."""
        draw = np.random.default_rng(seed)
        slope, shifts = _shifts(np.hypot(_SD, self.own_sd), self.effects)
        for start in range(0, races, _CHUNK):
            size = min(_CHUNK, races - start)
            run = draw.normal(0, self.run_sd / slope, (size, CELLS, SEEDS, 1))
            run += shifts[:, None, None]
            yield [self._task(draw, run.astype(np.float32)) for _ in range(TASKS)]

    def _task(self, draw: np.random.Generator, run: Floats) -> Floats:
        size = len(run)
        logits = _MEAN + _SD * draw.standard_normal((size, 1, 1, QUESTIONS), np.float32)
        own = self.own_sd * draw.standard_normal((size, CELLS, 1, QUESTIONS), np.float32)
        shape = (size, CELLS, SEEDS, QUESTIONS)
        return (draw.random(shape, np.float32) < expit(logits + own + run)).astype(np.float32)


def _shifts(sd: float, effects: tuple[float, ...]) -> tuple[float, Floats]:
    """Return the slope of the mean score in logits, and the shifts that have these effects."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    grid = np.linspace(-3, 3, 2001)
    scores = expit(_MEAN + sd * nodes + grid[:, None]) @ weights / weights.sum()
    middle = np.interp(0.0, grid, scores)
    slope = float(np.gradient(scores, grid)[len(grid) // 2])
    return slope, np.interp(middle + np.asarray(effects), scores, grid)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of races."""

    left: Mask
    """Cells that were left at the end, [races, cells]."""
    chosen: Floats
    """Numbers of the leaders at the end, [races]."""
    asked: Floats
    """Answers that were asked for, as a share of the grid's, [races]."""


def race(answers: Iterator[list[Floats]], run_sd: float) -> Outcome:
    """Run races by the actual test."""
    test = Elimination(cells=CELLS, rungs=len(RUNGS), run_sd=run_sd)
    parts = []
    for tasks in answers:
        left = np.ones(tasks[0].shape[:2], bool)
        most = np.zeros(tasks[0].shape[:2])
        for rung in RUNGS:
            asked = (rung.questions or QUESTIONS) * rung.seeds
            most = np.where(left, asked, most)
            seen = [task[..., : rung.seeds, : rung.questions] for task in tasks]
            verdicts = test.judge(seen, left)
            left = verdicts.left
        parts.append((left, verdicts.leader, most.mean(-1) / QUESTIONS / SEEDS))
    return Outcome(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def made(trials: int) -> list[list[str]]:
    """Return a row for every world."""
    apart = (GAP, *(0.0,) * (CELLS - 1))
    spread = tuple(np.linspace(0.12, 0, CELLS))
    rows = []
    for name, effects in (
        (f"one cell {GAP:g} above all", apart),
        ("all equal", (0.0,) * CELLS),
        ("from 0 to 0.12", spread),
    ):
        for run_sd in (0.0, 0.008, 0.016):
            for own_sd in (0.0, 0.9):
                world = World(run_sd, own_sd, effects)
                outcome = race(world.draw(trials, seed=len(rows)), Elimination.run_sd)
                regret = max(effects) - np.asarray(effects)[outcome.chosen.astype(int)]
                rows.append(
                    [
                        name,
                        f"{run_sd:g}",
                        "yes" if own_sd else "no",
                        f"{100 * np.mean(~outcome.left[:, 0]):.1f} %",
                        f"{regret.mean():.4f}",
                        f"{outcome.left.sum(-1).mean():.1f}",
                        f"{100 * outcome.asked.mean():.0f} %",
                    ]
                )
                print(" ".join(rows[-1]), file=sys.stderr, flush=True)
    return rows


MADE = ["cells", "run sd", "heterogeneous", "best dropped", "regret", "left", "asked"]


def main(arguments: list[str] | None = None) -> None:
    """Print the tables that are asked for, or write them to RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["made"])
    parser.add_argument("--trials", type=int, default=1000, help="races of each world")
    parser.add_argument("--only-print", action="store_true")
    options = parser.parse_args(arguments)
    text = table(MADE, made(options.trials))
    if options.only_print:
        print(text)
        return
    note = (
        f"{options.trials:,} races of each line, {CELLS} cells, {len(RUNGS)} rungs "
        f"({'; '.join(map(str, RUNGS))}), a total error of {Elimination.error:.0%} and "
        f"`run_sd={Elimination.run_sd:g}`. Best dropped: the share of races in which the best cell "
        "(of equal ones: a certain one) did not reach the end. Asked: answers, of the grid's."
    )
    command = f"python benchmarks/race.py {options.what}"
    write_section("Races on made-up data", command, f"{note}\n\n{text}", ("numpy", "scipy"))


if __name__ == "__main__":
    main()

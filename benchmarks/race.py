"""How races of cells do: how often they drop the best cell, and what they find for what they cost.

    python benchmarks/race.py made                  1,000 races on made-up data, in minutes
    python benchmarks/race.py recorded              replays of a recorded grid of the miniature
    python benchmarks/race.py made --trials 100 --only-print
    python benchmarks/race.py record RUN...         reads the grid that sweeps have run

**made**: 27 cells answer four tasks of 160 questions over five seeds. Questions differ in
difficulty, trained models of a cell by a run effect (its standard deviation is of the mean score),
and with heterogeneity questions differ in what a cell does to them. The best cell is 0.03 above
all others; beside it, a race among equals, and one of cells that spread. The cost is the share of
the grid's answers that a race asks for.

**recorded**: race_answers.json holds every answer of a grid of Storm's miniature, the stages behind
each, and their FLOPs as a plan estimates them (its commands are in the file). A replay shuffles the
seeds and the questions, and takes at most a quarter of the grid's FLOPs, of which stages that cells
share count once (race_replay.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit

sys.path.insert(0, str(Path(__file__).parent))
from race_grid import Grid, record
from race_replay import SHARE, Found, Way, race_for_share, random_cells, search
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
        right = draw.random(shape, np.float32) < expit(logits + own + run)
        return np.asarray(right, np.float32)


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
    rows: list[list[str]] = []
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
RECORDED = ["cells", "", "mean regret", "more than races", "best dropped", "FLOPs"]
_REPLAYS = 200
"""The most of a recorded grid: it has few seeds to shuffle."""
_SETTING = "merger.t"
_PUBLISHED = "curator=tinyworld/thresholds"
"""The curation of the recipe itself."""


def recorded(grid: Grid, replays: int) -> list[list[str]]:
    """Return a row for each way to find a good cell of the recorded grid."""
    ways: dict[str, Way] = {"race": race_for_share}
    for seeds in range(1, grid.shape[1] + 1):
        ways[f"random cells, {seeds} seed{'s' * (seeds > 1)} each"] = random_cells(seeds)
    for sampler, options in (("tpe", {}), ("tpe", {"n_startup_trials": 4}), ("random", {})):
        given = "".join(f", {name}={value}" for name, value in options.items())
        name = f"optuna's {sampler}{given}, continuous {_SETTING}"
        ways[name] = search(sampler, _SETTING, options)
    found = {
        name: [way(grid, np.random.default_rng(number)) for number in range(replays)]
        for name, way in ways.items()
    }
    races = np.array([each.regret for each in found["race"]])
    return [[str(len(grid.cells)), *_row(*each, races)] for each in found.items()]


def _evaluating(grid: Grid) -> float:
    """Return the share of the grid's FLOPs that are evaluations."""
    cells, seeds, _ = grid.shape
    return 1 - grid.making(np.ones((cells, seeds), bool)) / grid.whole()


def _row(name: str, outcomes: Sequence[Found], races: Floats) -> list[str]:
    """Return a row; its intervals are over replays, which all shuffle the same seeds."""
    regrets = np.array([each.regret for each in outcomes])
    dropped = np.mean([each.dropped for each in outcomes])
    return [
        name,
        _interval(regrets, ".4f"),
        "" if name == "race" else _interval(regrets - races, "+.4f"),
        f"{100 * dropped:.1f} %" if name == "race" else "",
        f"{100 * np.mean([each.flops for each in outcomes]):.0f} %",
    ]


def _interval(values: Floats, form: str) -> str:
    return f"{values.mean():{form}} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.4f}"


def main(arguments: list[str] | None = None) -> None:
    """Print the table that is asked for, or write it to RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["made", "recorded", "record"])
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs, for `record`")
    parser.add_argument("--trials", type=int, default=1000, help="races of each world")
    parser.add_argument("--only-print", action="store_true")
    options = parser.parse_args(arguments)
    if options.what == "record":
        record(options.runs).write()
        return
    if options.what == "made":
        title, text = "Races on made-up data", table(MADE, made(options.trials))
        note = (
            f"{options.trials:,} races of each line, {CELLS} cells, {len(RUNGS)} rungs "
            f"({'; '.join(map(str, RUNGS))}), a total error of {Elimination.error:.0%} and "
            f"`run_sd={Elimination.run_sd:g}`. Best dropped: the share of races in which the best "
            "cell (of equal ones: a certain one) did not reach the end. Asked: answers, of the "
            "grid's. Where runs vary by more than is stated (0.016), the guarantee does not hold "
            "among equals."
        )
    else:
        grid = Grid.read()
        title = "Races on recorded answers"
        replays = min(options.trials, _REPLAYS)
        weights = grid.trained(_PUBLISHED)
        rows = [row for each in (grid, weights) for row in recorded(each, replays)]
        text = table(RECORDED, rows)
        cells, seeds, questions = grid.shape
        scores = grid.scores.mean(1)
        note = (
            f"{replays} replays of {cells} cells "
            f"({grid.names[0]} to {grid.names[-1]}) of Storm's miniature, {seeds} seeds, "
            f"{len(grid.tasks)} tasks of {questions} questions; scores from {scores.min():.3f} "
            f"to {scores.max():.3f}. FLOPs: of the grid's {grid.whole():.3g}, of which "
            f"{_evaluating(grid):.0%} are evaluations and its base model is none, as it is given; "
            f"all take at most {SHARE:.0%}. Races have the sweeper's own settings. "
            f"The {len(weights.cells)} cells are those with {_PUBLISHED}, as if their trainings "
            "were given, so that questions alone cost. Random cells are asked all questions; where "
            "even one costs too much, a cell is drawn. Between two recorded weights, a search gets "
            "a score that is interpolated linearly. Intervals (95%) are over replays, all of which "
            "shuffle the same seeds. How races go on where a rung is too dear was changed after "
            "replays of an earlier recording of the seeds 0 to 2 (regret 0.0062, then 0.0039, of "
            "random cells 0.0036). This one has those seeds and two more; it was recorded "
            "afterwards, and nothing was changed for it."
        )
    if options.only_print:
        print(text)
        return
    command = f"python benchmarks/race.py {options.what}"
    write_section(title, command, f"{note}\n\n{text}", ("numpy", "scipy"))


if __name__ == "__main__":
    main()

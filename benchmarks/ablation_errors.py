"""How often the ledger of an ablation errs over all factors, and whether planned power holds.

    python benchmarks/ablation_errors.py            the table of docs/statistics.md, half an hour
    python benchmarks/ablation_errors.py --trials 200 --only-print

Scores are made as in `false_positives.py`, of an ablation with five factors (`one_out`) or of a
factorial of three, whose six effects are looked at together. Estimates and verdicts are those of
the ledger itself. Every figure is a count over trials, whose own error at 2,000 trials and 5 % is
0.5.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from false_positives import EQUAL, MARGIN, SEEDS, UNEQUAL, World
from results import setting, table, write_between
from storm_evaluation.ablation.design import FULL, ONE_OUT, controlled, effects
from storm_evaluation.ablation.ledger import family
from storm_evaluation.comparison.comparison import NO_EFFECT
from storm_evaluation.comparison.inference import Contrast, Spread
from storm_evaluation.comparison.pairwise_differences import Cell, decide
from storm_evaluation.comparison.power import PlannedComparison, Variances, variances
from storm_evaluation.comparison.several_runs import estimates
from storm_evaluation.comparison.significance import Floats

CONFIDENCE, FOUND, PILOTS = 0.95, 0.03, 200
"""Coverage of intervals, the effect whose power is planned, and how many trials serve as pilots."""
BAR, APART = 6.5, 3.0
"""Most that may err in %, and how far planned and simulated power may be apart, in points."""
FACTORS = {ONE_OUT: ("a", "b", "c", "d", "e"), FULL: ("a", "b", "c")}
_PAGE = Path(__file__).parents[1] / "docs/statistics.md"


@dataclasses.dataclass(frozen=True)
class Case:
    """A world, and the design of the ablation that is made in it."""

    name: str
    design: str
    world: World
    factors: tuple[str, ...]

    @property
    def contrasts(self) -> list[Contrast]:
        """The effects, by the numbers of the arms."""
        arms = list(controlled(self.design, self.factors))
        return [
            {arms.index(arm): weight for arm, weight in effect.items()}
            for effect in effects(self.design, self.factors).values()
        ]

    def simulate(self, sizes: Sequence[float], trials: int, seed: int) -> Spread:
        """Return the spread of trials in which the factors have effects of these sizes."""
        size = dict(zip(self.factors, sizes, strict=True))
        arms = controlled(self.design, self.factors)
        scores = tuple(-sum(size[name] for name in names) for names in arms.values())
        return self.world.simulate(scores, trials, seed, self.contrasts)


def cases() -> Iterator[Case]:
    """Yield every case of the table."""
    for name, sds in (EQUAL | UNEQUAL).items():
        for heterogeneous in (False, True):
            for runs in SEEDS:
                world = World(runs, sds, heterogeneous)
                yield Case(name, ONE_OUT, world, FACTORS[ONE_OUT])
    for name, sd in (("0 in all", 0.0), ("0.016 in all", 0.016)):
        for runs in SEEDS[:2]:
            few = World(runs, (sd,) * 6, True, questions=240)
            yield Case(f"{name}, 240 questions", ONE_OUT, few, FACTORS[ONE_OUT])
            three = World(runs, (sd,) * 3, True)
            yield Case(f"{name}, 2 factors", ONE_OUT, three, FACTORS[ONE_OUT][:2])
            for sds, questions in (((sd,) * 6, 960), ((sd,) * 3, 240)):
                tails = World(runs, sds, True, questions=questions, answers="continuous")
                shown = f"{name}, heavy tails, {questions} questions, {len(sds) - 1} factors"
                yield Case(shown, ONE_OUT, tails, FACTORS[ONE_OUT][: len(sds) - 1])
    factorials = {name: (sds[0],) * 8 for name, sds in EQUAL.items()}
    factorials["0.016 in one, 0.004"] = (0.016, *(0.004,) * 7)
    factorials["0.016 in half, 0.004"] = (0.016, 0.004) * 4
    for name, sds in factorials.items():
        for runs in SEEDS[:2]:
            yield Case(name, FULL, World(runs, sds, True), FACTORS[FULL])


@dataclasses.dataclass(frozen=True)
class Errors:
    """Shares of trials in %."""

    rejected: float
    """Any of the true nulls was rejected after Holm's correction, where all or all but one hold."""
    missed: float
    """Any simultaneous interval did not hold the truth: the largest for three sets of effects."""
    claimed: float
    """No effect was claimed of a factor whose effect is ± the margin: of the worst factor."""
    planned: float
    """Power at FOUND, planned from the true variances."""
    found: float
    """Power at FOUND, as simulated."""
    pessimistic: float
    """How often the pessimistic plan of a pilot promised no more than was found."""


def measure(case: Case, trials: int, seed: int) -> Errors:
    """Return how often the ledger errs in a case, and what it finds against what was planned."""
    count = len(case.factors)
    sets = {
        "null": (0.0,) * count,
        "one": (FOUND, *(0.0,) * (count - 1)),
        "margin": tuple(MARGIN * (-1) ** number for number in range(count)),
    }
    missed, rejected, spreads = [], [], {}
    found = claimed = 0.0
    for number, (name, sizes) in enumerate(sets.items()):
        spread = spreads[name] = case.simulate(sizes, trials, seed + number)
        truth = np.array([*sizes, *(0.0,) * (len(case.contrasts) - count)])
        verdicts, outside = ledgers(case, spread, truth)
        missed.append(np.mean(outside.any(-1)))
        wrong = np.isin(verdicts, ("better", "worse"))
        if name != "margin":
            rejected.append(np.mean(wrong[:, truth == 0].any(-1)))
        if name == "one":
            found = float(np.mean(verdicts[:, 0] == "better"))
        if name == "margin":
            claimed = float((verdicts == NO_EFFECT)[:, truth != 0].mean(0).max())
    planned = _planned(case, _true(spreads["null"]))
    pilots = [
        _planned(case, variances(spreads["null"], (n, 0)).pessimistic())
        for n in range(min(PILOTS, trials))
    ]
    return Errors(
        rejected=100 * float(max(rejected)),
        missed=100 * float(max(missed)),
        claimed=100 * claimed,
        planned=100 * planned,
        found=100 * found,
        pessimistic=100 * float(np.mean(np.array(pilots) <= found + 0.005)),
    )


def ledgers(case: Case, spread: Spread, truth: Floats) -> tuple[Floats, Floats]:
    """Return what the ledger says of each effect, and which intervals do not hold the truth."""
    whole = family(case.design, len(case.contrasts))
    found = estimates(spread, 1 - CONFIDENCE, whole)
    low, high = np.moveaxis(found["together"], -1, 0)
    outside = (truth < low) | (high < truth)
    verdicts = []
    for trial in range(len(spread.difference)):
        cells: list[Cell] = [
            {name: found[name][trial, number] for name in ("difference", "p", "equivalence")}
            for number in range(len(truth))
        ]
        decide(((cell, True) for cell in cells), confidence=CONFIDENCE, margin=MARGIN)
        verdicts.append([cell["verdict"] for cell in cells])
    return np.array(verdicts), outside


def _true(null: Spread) -> Variances:
    """Return the variances of the first effect, as the mean of unbiased estimates."""
    return dataclasses.replace(variances(null, (slice(None), 0)), freedom=np.inf)


def _planned(case: Case, known: Variances) -> float:
    plan = PlannedComparison(known, case.world.arms, len(case.contrasts), 1 - CONFIDENCE)
    return plan.power(FOUND, case.world.runs)


HEADER = [
    "design",
    "run effect (sd)",
    "heterogeneous",
    "seeds",
    "any true null rejected",
    "intervals together miss",
    'claims "no effect" at ± 0.02',
    "power at 0.03: planned",
    "simulated",
    "pessimistic plan holds",
]


def row(numbered: tuple[int, Case], trials: int) -> list[str]:
    """Return a row of the table."""
    number, case = numbered
    found = measure(case, trials, 1_000_000 + 10 * number)
    heterogeneous = "yes" if case.world.heterogeneous else "no"
    figures = (found.rejected, found.missed, found.claimed, found.planned, found.found)
    shares = [f"{figure:.1f}" for figure in figures]
    return [
        *(case.design, case.name, heterogeneous, str(case.world.runs), *shares),
        f"{found.pessimistic:.0f}",
    ]


def simulate(trials: int, processes: int) -> Iterator[list[str]]:
    """Yield the rows of the table, and print each."""
    numbered = list(enumerate(cases()))
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        for each in pool.map(row, numbered, [trials] * len(numbered)):
            print(" | ".join(each), flush=True)
            yield each


def main() -> None:
    """Simulate, and write the table into docs/statistics.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only-print", action="store_true")
    asked = parser.parse_args()
    rows = list(simulate(asked.trials, asked.processes))
    if asked.only_print:
        return
    said = f"{asked.trials:,} trials a row; {setting(('numpy', 'scipy'))}"
    write_between(_PAGE, "ablations", f"{said}\n\n{table(HEADER, rows)}")


if __name__ == "__main__":
    main()

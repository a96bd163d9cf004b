"""How often the declared test over runs and questions errs, and what it finds: by simulation.

    python benchmarks/false_positives.py            the table of docs/statistics.md, in minutes
    python benchmarks/false_positives.py --trials 200 --only-print

Six arms answer 960 questions, over 3, 5 or 8 seeds; a seed is a block, the same in every arm.
Questions differ in difficulty, trained models of an arm differ by a run effect (its standard
deviation is of the mean score), and with heterogeneity questions differ in what an arm does to
them. The first arm is compared with the others. Every cell of the table is a count over trials; its
own error at 2,000 trials and 5 % is 0.5.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

sys.path.insert(0, str(Path(__file__).parent))
from results import setting, table, write_between
from storm_evaluation.comparison.inference import Contrast, Spread, pair, spread
from storm_evaluation.comparison.pairwise_differences import verdict
from storm_evaluation.comparison.significance import Floats, holm

ARMS, QUESTIONS, MARGIN = 6, 960, 0.02
SEEDS, EFFECTS = (3, 5, 8), (0.02, 0.04)
EQUAL = {f"{sd:g} in all": (sd,) * ARMS for sd in (0.0, 0.008, 0.016)}
UNEQUAL = {
    "0.016 in one, 0.004": (0.004, 0.016, 0.004, 0.004, 0.004, 0.004),
    "0.016 in both, 0.004": (0.016, 0.016, 0.004, 0.004, 0.004, 0.004),
    "0.016 in one, 0.008": (0.008, 0.016, 0.008, 0.008, 0.008, 0.008),
}
_CHUNK = 50
_PAGE = Path(__file__).parents[1] / "docs/statistics.md"


@dataclasses.dataclass(frozen=True)
class World:
    """What is drawn: logits of right answers."""

    runs: int
    run_sds: tuple[float, ...]
    """Standard deviation of the run effect on the mean score, arm by arm."""
    heterogeneous: bool
    mean: float = 0.3
    sd: float = 1.8
    """Of the questions' logits."""
    block_sd: float = 0.01
    """Of what a seed does to all arms."""
    questions: int = QUESTIONS
    answers: str = "binary"
    """Or continuous: skewed in what a question does to an arm, with heavy tails."""

    @property
    def own_sd(self) -> float:
        """Standard deviation of what a question does to an arm, in logits."""
        return 0.9 if self.heterogeneous else 0.0

    @property
    def arms(self) -> int:
        """Number of arms."""
        return len(self.run_sds)

    def simulate(
        self,
        effects: tuple[float, ...],
        trials: int,
        seed: int,
        contrasts: Sequence[Contrast] | None = None,
    ) -> Spread:
        """Return the spread of contrasts: by default, of the other arms against the first.

        Its arrays are [trials, contrasts].
        """
        draw = np.random.default_rng(seed)
        contrasts = contrasts or [pair(0, arm) for arm in range(1, self.arms)]
        slope, _ = _response(self.mean, self.sd, self.own_sd, 0.0)
        shifts = [_response(self.mean, self.sd, self.own_sd, effect)[1] for effect in effects]
        found = []
        for start in range(0, trials, _CHUNK):
            size = min(_CHUNK, trials - start)
            logits = draw.standard_normal((size, 1, 1, self.questions), dtype=np.float32)
            logits = np.float32(self.mean) + np.float32(self.sd) * logits
            own = draw.standard_normal((size, self.arms, 1, self.questions), dtype=np.float32)
            run = draw.normal(size=(size, self.arms, self.runs, 1)) * np.reshape(
                self.run_sds, (-1, 1, 1)
            )
            run += draw.normal(0, self.block_sd, (size, 1, self.runs, 1))
            if self.answers == "continuous":
                run += np.reshape(effects, (-1, 1, 1))
                skewed = 0.15 * (np.exp(np.float32(self.own_sd) * own) - 1)
                noise = 0.25 * draw.standard_t(3, (size, self.arms, self.runs, self.questions))
                found.append(spread([0.3 * logits + skewed + run + noise], contrasts))
                continue
            logits = logits + np.float32(self.own_sd) * own
            run = run / slope + np.reshape(shifts, (-1, 1, 1))
            odds = np.exp(-(logits + run.astype(np.float32)))
            right = draw.random(odds.shape, dtype=np.float32) * (1 + odds) < 1
            found.append(spread([right.astype(np.float32)], contrasts))
        return _joined(found)


@functools.cache
def _response(mean: float, sd: float, own_sd: float, effect: float) -> tuple[float, float]:
    """Return the mean slope of the score in the logit, and the logits that raise it by `effect`."""
    draw = np.random.default_rng(7)
    logits = draw.normal(mean, sd, 200_000) + own_sd * draw.normal(0, 1, 200_000)

    def score(shift: float) -> Floats:
        return np.asarray(1 / (1 + np.exp(-(logits + shift))))

    here = score(0.0)
    shift = brentq(lambda by: float((score(by) - here).mean()) - effect, -2, 2) if effect else 0.0
    return float((here * (1 - here)).mean()), float(shift)


def _joined(parts: list[Spread]) -> Spread:
    names = ("difference", "own", "pooled", "questions", "reach")
    columns: dict[str, Any] = {}
    for name in names:
        columns[name] = np.concatenate([getattr(part, name) for part in parts])
    return dataclasses.replace(parts[0], **columns)


@dataclasses.dataclass(frozen=True)
class Errors:
    """Shares of trials."""

    rejected: float
    """A true null was rejected, by the pair's own test."""
    covered: float
    """The 95 % interval held the truth."""
    any_rejected: float
    """Of five true nulls any was rejected after Holm's correction."""
    equivalent: float
    """No effect was claimed where there is none."""
    power: tuple[float, ...]
    """A true effect was found, by its size."""


def measure(world: World, trials: int, seed: int) -> Errors:
    """Return how often the test errs in a world, and how often it finds what is there."""
    null = world.simulate((0.0,) * ARMS, trials, seed)
    first, half = null.difference[:, 0], null.half_width(0.05)[:, 0]
    p = null.p_values()
    narrow = null.half_width(0.10)[:, 0]
    verdicts = [
        verdict({"better": None, "equivalence": (d - h, d + h)}, 1, MARGIN)
        for d, h in zip(first.tolist(), narrow.tolist(), strict=True)
    ]
    covered, power = [np.mean(np.abs(first) < half)], []
    for number, effect in enumerate(EFFECTS, start=1):
        effects = (0.0, effect, *(0.0,) * (ARMS - 2))
        found = world.simulate(effects, trials, seed + number)
        width = found.half_width(0.05)[:, 0]
        power.append(float(np.mean(np.abs(found.difference[:, 0]) > width)))
        covered.append(np.mean(np.abs(found.difference[:, 0] - effect) < width))
    return Errors(
        rejected=float(np.mean(p[:, 0] < 0.05)),
        covered=float(min(covered)),
        any_rejected=float(np.mean([min(holm(row)) < 0.05 for row in p.tolist()])),
        equivalent=verdicts.count("no effect") / trials,
        power=tuple(power),
    )


def worlds() -> dict[tuple[str, bool, int], World]:
    """Return every world of the table, by run effects, heterogeneity and seeds."""
    return {
        (name, heterogeneous, runs): World(runs, sds, heterogeneous)
        for name, sds in (EQUAL | UNEQUAL).items()
        for heterogeneous in (False, True)
        for runs in SEEDS
    }


def simulate(trials: int) -> list[list[str]]:
    """Return the rows of the table; prints each as it is known."""
    rows = []
    for seed, ((name, heterogeneous, runs), world) in enumerate(worlds().items()):
        found = measure(world, trials, 1000 * seed)
        row = [name, "yes" if heterogeneous else "no", str(runs)]
        row += [f"{100 * share:.1f}" for share in (found.rejected, found.covered)]
        row += [f"{100 * found.any_rejected:.1f}", f"{100 * found.equivalent:.0f}"]
        row += [" / ".join(f"{100 * share:.0f}" for share in found.power)]
        rows.append(row)
        print(" | ".join(row), flush=True)
    return rows


HEADER = [
    "run effect (sd)",
    "heterogeneous",
    "seeds",
    "rejects a true null",
    "interval covers",
    "any of five nulls, Holm",
    'claims "no effect" rightly',
    "finds 0.02 / 0.04",
]


def main() -> None:
    """Simulate, and write the table into docs/statistics.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--only-print", action="store_true")
    asked = parser.parse_args()
    rows = simulate(asked.trials)
    if asked.only_print:
        return
    said = f"{asked.trials:,} trials a row; {setting(('numpy', 'scipy'))}"
    write_between(_PAGE, "simulated", f"{said}\n\n{table(HEADER, rows)}")


if __name__ == "__main__":
    main()

"""Planning of a comparison over runs and questions: what it would find, from the variances of one.

Its decisions are those of `inference.Spread`, whose estimated variances are drawn: of all draws,
those count in which the interval would exclude zero. What is estimated over runs has the
distribution that it has for normal run effects. What varies over questions is taken as known.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import special

from storm_evaluation.comparison.inference import Spread

MOST_RUNS = 200
_DRAWS, _SEED = 8000, 0


@dataclasses.dataclass(frozen=True)
class Variances:
    """What is known of a contrast."""

    own: float
    """Variance of the contrast from run to run."""
    pooled: float
    """The same as it is on average over all contrasts of as large weights."""
    freedom: float
    """Degrees of freedom of `pooled`; infinite where it is known."""
    questions: float
    """Variance of the contrast over questions."""
    most: float
    """The contrast's largest value for a question."""
    fewest: float
    """Effective number of questions, as in `Spread`."""

    def alike(self) -> Variances:
        """Return the same where all arms vary alike from run to run: the point figure of a pilot.

        A pilot has too few runs to tell what the contrast's own are like.
        """
        return dataclasses.replace(self, own=self.pooled)

    def pessimistic(self) -> Variances:
        """Return the same with the 80 % upper bound of what is pooled, or its own if larger."""
        bound = self.pooled * self.freedom / special.chdtri(self.freedom, 0.8)
        return dataclasses.replace(self, own=max(bound, self.own), pooled=bound)


def variances(spread: Spread, index: tuple[Any, ...]) -> Variances:
    """Return what a spread shows of the contrast whose place in its arrays is `index`.

    Of several places, the mean.
    """
    most = spread.reach - np.abs(spread.difference)
    return Variances(
        own=float(spread.own[index].mean()) * spread.runs,
        pooled=float(spread.pooled[index].mean()) * spread.runs,
        freedom=spread.freedom,
        questions=float(spread.questions[index].mean()),
        most=float(most[index].mean()),
        fewest=spread.fewest,
    )


@dataclasses.dataclass(frozen=True)
class PlannedComparison:
    """A comparison before it is made."""

    variances: Variances
    arms: int
    comparisons: int
    """Contrasts that are looked at together: an effect has to be found at Holm's first level."""
    level: float = 0.05

    def power(self, effect: float, runs: int) -> float:
        """Return the probability that an effect of this size is found."""
        spread = self._drawn(effect, runs)
        half = spread.half_width(self.level / self.comparisons)
        return float(np.mean(np.abs(spread.difference) > half))

    def smallest_effect(self, runs: int, power: float = 0.8) -> float:
        """Return the smallest effect that is found with this probability; infinity for none."""
        low, high = 0.0, 1e-4
        while self.power(high, runs) < power:
            low, high = high, 2 * high
            if high > 1e3:
                return np.inf
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (low, middle) if self.power(middle, runs) >= power else (middle, high)
        return high

    def runs_needed(self, effect: float, power: float = 0.8) -> int | None:
        """Return how many runs find an effect with this probability; None for over MOST_RUNS."""
        low, high = 1, 2
        while self.power(effect, high) < power:
            if high >= MOST_RUNS:
                return None
            low, high = high, min(2 * high, MOST_RUNS)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.power(effect, middle) >= power else (middle, high)
        return high

    def _drawn(self, effect: float, runs: int) -> Spread:
        """Return draws of what a comparison would estimate."""
        draw, known, freedom = np.random.default_rng(_SEED), self.variances, runs - 1
        deviation = np.sqrt(known.own / runs + known.questions)
        difference = effect + draw.normal(size=_DRAWS) * deviation
        own = known.own / runs * draw.chisquare(freedom, _DRAWS) / freedom
        # The pooled estimate is the mean of the contrast's own and of the others, orthogonal to it.
        others, pooled = self.arms - 2, own
        if others:
            rest = max((self.arms - 1) * known.pooled - known.own, 0.0) / others / runs
            drawn = rest * draw.chisquare(others * freedom, _DRAWS) / (others * freedom)
            pooled = (own + others * drawn) / (self.arms - 1)
        return Spread(
            difference=difference,
            own=own,
            pooled=pooled,
            questions=np.full(_DRAWS, known.questions),
            reach=np.abs(difference) + known.most,
            fewest=known.fewest,
            tasks=1,
            runs=runs,
            arms=self.arms,
        )

"""Planning of a comparison over runs and questions: what it would find, from the variances of one.

Its decisions are those of `inference.Spread`, whose estimated variances are drawn: of all draws,
those count in which the interval would exclude zero. Estimates of what varies over runs have the
distribution that they have for normal run effects of equal variance. What varies over questions
is taken as known.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import special

from storm_evaluation.comparison.inference import Contrast, Spread

MOST_RUNS = 200
_DRAWS, _SEED = 8000, 0


@dataclasses.dataclass(frozen=True)
class Variances:
    """What a pilot showed of a contrast."""

    runs: float
    """Variance of a score from run to run, within an arm and beside what a seed does to all."""
    freedom: float
    """Degrees of freedom of `runs`; infinite where it is known."""
    questions: float
    """Variance of the contrast over questions."""
    most: float
    """The contrast's largest value for a question."""
    fewest: float
    """Effective number of questions, as in `Spread`."""

    def pessimistic(self, level: float = 0.2) -> Variances:
        """Return the same with an upper confidence bound of the variance from run to run.

        It is exceeded with probability `level`.
        """
        bound = self.freedom / special.chdtri(self.freedom, 1 - level)
        return dataclasses.replace(self, runs=self.runs * bound)


def variances(spread: Spread, contrast: Contrast, index: tuple[Any, ...]) -> Variances:
    """Return what a pilot's spread shows of a contrast, whose place in its arrays is `index`.

    Of several places, the mean.
    """
    most = spread.reach - np.abs(spread.difference)
    return Variances(
        runs=float(spread.pooled[index].mean()) * spread.runs / squares(contrast),
        freedom=spread.freedom,
        questions=float(spread.questions[index].mean()),
        most=float(most[index].mean()),
        fewest=spread.fewest,
    )


def squares(contrast: Contrast) -> float:
    """Return the sum of squared weights."""
    return sum(weight**2 for weight in contrast.values())


@dataclasses.dataclass(frozen=True)
class PlannedComparison:
    """A comparison before it is made."""

    variances: Variances
    contrast: Contrast
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
        draw = np.random.default_rng(_SEED)
        known, freedom = self.variances, runs - 1
        true = known.runs * squares(self.contrast) / runs
        noise = draw.normal(size=_DRAWS) * np.sqrt(true + known.questions)
        own = draw.chisquare(freedom, _DRAWS)
        others = (self.arms - 2) * freedom
        pooled = own + (draw.chisquare(others, _DRAWS) if others else 0.0)
        difference = effect + noise
        return Spread(
            difference=difference,
            own=true * own / freedom,
            pooled=true * pooled / (freedom + others),
            questions=np.full(_DRAWS, known.questions),
            reach=np.abs(difference) + known.most,
            fewest=known.fewest,
            tasks=1,
            runs=runs,
            arms=self.arms,
        )

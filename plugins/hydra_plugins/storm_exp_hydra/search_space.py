"""The space that a sweep searches, and the cells of a point in it.

Annotations are not postponed here: Hydra executes this module before it is in `sys.modules`, and
dataclasses look postponed annotations up there.
"""

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from hydra_plugins.storm_exp_hydra.sweeper import count_values
from storm_exp import ComposeError

Point = dict[str, Any]
"""{setting: value} of a trial."""


@dataclass(frozen=True)
class Dimension:
    """The values of a setting that is searched: those listed, or the numbers from low to high."""

    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False
    """Whether the numbers are integers."""

    @classmethod
    def read(cls, override: Override) -> "Dimension":
        """Read what Hydra parsed; raises ComposeError for a space without values."""
        value, written = override.value(), override.input_line
        if isinstance(value, IntervalSweep):
            low, high = value.start, value.end
            if low is None or high is None or not math.isfinite(high - low) or low >= high:
                raise ComposeError(f"{written}: an interval has a start below its end")
            log = "log" in value.tags
            if log and low <= 0:
                raise ComposeError(f"{written}: a logarithmic interval starts above 0")
            return cls(low=low, high=high, log=log, whole=isinstance(low, int))
        count = count_values(override)
        if not isinstance(value, RangeSweep):
            return cls(choices=tuple(override.sweep_string_iterator()))
        assert value.start is not None
        first, last = value.start, value.start + (count - 1) * value.step
        return cls(
            low=min(first, last),
            high=max(first, last),
            step=abs(value.step),
            whole=isinstance(first, int) and isinstance(value.step, int),
        )

    @property
    def count(self) -> float:
        """How many values there are; infinite for real numbers."""
        if self.choices:
            return len(set(self.choices))
        step = self.step or (1 if self.whole else None)
        return math.inf if step is None else round((self.high - self.low) / step) + 1

    @property
    def middle(self) -> Any:
        """A value to try whether cells can be planned: the first choice, or the middle."""
        if self.choices:
            return self.choices[0]
        steps = (self.high - self.low) / 2 / (self.step or (1 if self.whole else math.inf))
        return self.low + int(steps) * self.step if self.step else self._between()

    def _between(self) -> float:
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        return int(middle) if self.whole else middle

    def word(self, value: Any) -> str:
        """Return a value as it is typed: real numbers with six digits, within low and high."""
        if self.choices or self.whole:
            return str(value)
        return repr(min(max(float(f"{value:.6g}"), self.low), self.high))


@dataclass(frozen=True)
class SearchSpace:
    """What a command line says of the cells of a search."""

    fixed: dict[str, str]
    """{setting: value} of every cell."""
    seeds: dict[str, list[str]]
    """Seeds with several values: every trial has a cell for each, and they are not searched."""
    dimensions: dict[str, Dimension] = field(default_factory=dict)

    @classmethod
    def read(cls, overrides: Iterable[Override]) -> "SearchSpace":
        """Sort what Hydra parsed; the last word on a setting holds. Raises ComposeError."""
        from storm_report.run_table import is_seed

        fixed: dict[str, str] = {}
        seeds: dict[str, list[str]] = {}
        dimensions: dict[str, Dimension] = {}
        for override in overrides:
            name = override.get_key_element()
            for kind in (fixed, seeds, dimensions):
                kind.pop(name, None)  # type: ignore[attr-defined]
            if not override.is_sweep_override():
                fixed[name] = override.get_value_element_as_str()
            elif is_seed(name.lstrip("+")) and override.is_discrete_sweep():
                count_values(override)
                seeds[name] = list(override.sweep_string_iterator())
            else:
                dimensions[name] = Dimension.read(override)
        if not dimensions:
            raise ComposeError(
                "no setting has values to search: write merger.t=interval(0,1), "
                "curator.min_education=range(2,5), or a list of values"
            )
        return cls(fixed, seeds, dimensions)

    @property
    def count(self) -> float:
        """How many points there are; infinite where a setting takes real numbers."""
        return math.prod(dimension.count for dimension in self.dimensions.values())

    @property
    def middle(self) -> Point:
        """A point to try whether cells can be planned."""
        return {name: dimension.middle for name, dimension in self.dimensions.items()}

    def cells(self, point: Mapping[str, Any]) -> list[list[str]]:
        """Return the overrides of the cells of a point: one, or one for each seed."""
        words = [f"{name}={value}" for name, value in self.fixed.items()]
        words += [f"{name}={d.word(point[name])}" for name, d in self.dimensions.items()]
        lists = [[f"{name}={value}" for value in values] for name, values in self.seeds.items()]
        return [[*words, *chosen] for chosen in itertools.product(*lists)]

    def shown(self, point: Mapping[str, Any]) -> str:
        """Return a point in words, as in `merger.t=0.3 merger=slerp`."""
        return " ".join(f"{name}={d.word(point[name])}" for name, d in self.dimensions.items())

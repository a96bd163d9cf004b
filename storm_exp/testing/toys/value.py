"""The artifacts: a number, and a text that is none."""

from __future__ import annotations

import dataclasses
import json

from storm_exp import Artifact, Spec, StageContext


@dataclasses.dataclass(kw_only=True)
class ValueSpec(Spec):
    """What is known of a number before it is made."""

    value: float | None = None

    def summary(self) -> str:
        """Return, for example, `will be 3`."""
        return "" if self.value is None else f"will be {self.value:g}"


class Value(Artifact):
    """A number in `value.json`."""

    spec_type = ValueSpec

    def read(self) -> float:
        """Return the number."""
        return float(json.loads((self.directory / "value.json").read_text(encoding="utf-8")))

    def spec(self) -> ValueSpec:
        """Read the number."""
        return ValueSpec(value=self.read())


class Text(Artifact):
    """A text in `text.txt`."""


def write_value(stage: StageContext, value: float) -> Value:
    """Fill a stage's directory with a number and report it."""
    (stage.directory / "value.json").write_text(json.dumps(value), encoding="utf-8")
    stage.metric("value", value, main=True)
    return Value(stage.directory)

"""Controls: what stands in for the steps of a recipe."""

from __future__ import annotations

import dataclasses

from storm_exp import setting


@dataclasses.dataclass(kw_only=True)
class Control:
    """What takes the place of a factor: a step that does no more than its honest alternative."""

    says: str
    """The control in a few words, such as "as many rows at random"."""
    overrides: list[str] = setting([])
    """Overrides that make the control of the recipe, as on the command line."""
    result: str = ""
    """The stage whose model it is about, where it is not the recipe's; as for a merge, whose
    control is the model before it."""

"""The root section `ablation`: what a recipe is for, and the control of each of its factors."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from storm_evaluation.ablation.control import Control
from storm_evaluation.ablation.design import DESIGNS, ONE_OUT
from storm_exp import SettingError, check_bounds, setting

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclasses.dataclass(kw_only=True)
class AblationSection:
    """What `storm-exp ablate` compares. No key covers it."""

    result: str = ""
    """The stage whose model the recipe is for."""
    controls: dict[str, Control | None] = setting({})
    """{factor: its control}; null takes a factor out."""
    design: str = setting(ONE_OUT, one_of=DESIGNS)
    """one_out: the recipe against itself with one control at a time; one_in: the recipe with all
    controls against itself with one factor back; full: every combination of controls, which shows
    interactions."""
    power: float | None = setting(None, above=0)
    """Tell with which power effects of this size would be found, and run nothing (`--power` is
    0.02)."""
    pilot: str = ""
    """The run whose variances `power` takes; empty for the newest ablation of the recipe."""
    arm: str = ""
    """Set by `storm-exp ablate` in each cell but those of the reference: the factor whose effect
    shows there; for `full`, the factors whose controls it has, as in curation+merging."""

    def __post_init__(self) -> None:
        """Check the names of factors and that each control does something; raises SettingError."""
        check_bounds(self)
        for name, control in self.factors().items():
            path = f"controls.{name}"
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                problem = "the name of a factor has small letters, digits and _"
                raise SettingError(path, name, problem)
            if not control.says.strip():
                raise SettingError(f"{path}.says", control.says, "say what the control is")
            if not control.overrides and not control.result:
                problem = "changes nothing: give `overrides`, or another `result`"
                raise SettingError(path, control.says, problem)

    def arms(self, config: DictConfig) -> dict[str, list[str]]:
        """Return the overrides of the reference, named "", and of each other arm.

        `config` is the composed recipe. Raises SettingError.
        """
        from storm_evaluation.ablation.arms import arms

        return arms(self.result, self.factors(), self.design, config)

    def factors(self) -> dict[str, Control]:
        """Return the factors that have not been taken out."""
        return {name: control for name, control in self.controls.items() if control is not None}

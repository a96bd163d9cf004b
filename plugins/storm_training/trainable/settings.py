"""The settings that choose which parameters train."""

from __future__ import annotations

import dataclasses
import re
from enum import StrEnum

from storm_exp import SettingError, check_bounds, setting
from storm_models.trainable_settings import READS

NONE, RANDOM = "none", "random"
CONTROLS = (NONE, RANDOM)


class Method(StrEnum):
    """How the parameters that train are chosen."""

    all = "all"
    spectrum = "spectrum"
    last_layers = "last_layers"
    named = "named"
    new_layers = "new_layers"
    lora = "lora"
    qlora = "qlora"


@dataclasses.dataclass(kw_only=True)
class TrainableSettings:
    """Which parameters train; all others are frozen and stay bit-identical."""

    method: Method = Method.all
    """all; spectrum (the matrices of each type with the highest signal-to-noise ratio); last_layers
    (the last `layers` blocks); named (`names`); new_layers (those that depth up-scaling or block
    expansion added); lora or, on a GPU, qlora (low-rank updates, merged into the weights at the
    end)."""
    fraction: float = setting(0.5, at_least=0, at_most=1)
    """spectrum: share of the matrices of each module type that train."""
    embedding: bool = True
    """spectrum: train the embedding, as Spectrum's own code does. A tied head trains with it."""
    head: bool = True
    """spectrum, last_layers: train the head."""
    norms: bool = False
    """spectrum: train all norms (their ratios are all equal, so they cannot be ranked);
    last_layers: train the norms of these blocks and the final one."""
    norm_layers: int = setting(0, neutral=0, at_least=0)
    """spectrum: train the norms of the first so many blocks. Spectrum's own code ranks norms with
    the matrices; as they tie, its list for half of 32 layers has those of the first 16."""
    control: str = setting(NONE, neutral=NONE, one_of=CONTROLS)
    """spectrum: random trains as many matrices of each type, drawn at random by the fine-tuner's
    seed, in place of those with the highest ratios."""
    layers: int = setting(0, at_least=0)
    """last_layers: how many blocks, counted from the end."""
    names: list[str] = setting([])
    """named: regular expressions, each of which must match the whole name of a parameter."""
    rank: int = setting(16, at_least=1)
    """lora, qlora: rank of the updates."""
    alpha: float = setting(32.0, above=0)
    """lora, qlora: updates are scaled by alpha / rank."""
    dropout: float = setting(0.0, at_least=0, below=1)
    """lora, qlora: dropout on the input of the updates."""
    modules: list[str] = setting([])
    """lora, qlora: types of matrices that get an update (q_proj, …); empty: all."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError, also for one that `method` does not use."""
        check_bounds(self, "trainable.")
        for field in dataclasses.fields(self):
            default = (
                field.default_factory()
                if field.default_factory is not dataclasses.MISSING
                else field.default
            )
            value = getattr(self, field.name)
            read = field.name == "method" or field.name in READS[self.method]
            if not read and value != default:
                readers = " or ".join(name for name, read in READS.items() if field.name in read)
                problem = f"is used only with method={readers}, and method is {self.method}"
                raise SettingError(f"trainable.{field.name}", value, problem)
        if self.method == "last_layers":
            self._require("layers", self.layers >= 1, "must be at least 1")
        if self.method == "named":
            self._require("names", bool(self.names), "needs at least one regular expression")
        for name in self.names:
            try:
                re.compile(name)
            except re.error as error:
                problem = f"is no regular expression: {error}"
                raise SettingError("trainable.names", name, problem) from error

    @property
    def low_rank(self) -> bool:
        """Whether low-rank updates train instead of the weights."""
        return self.method in ("lora", "qlora")

    def _require(self, name: str, holds: bool, problem: str) -> None:
        if not holds:
            raise SettingError(f"trainable.{name}", getattr(self, name), problem)

"""Target widths of a pruned model, and its config. Free of torch, for checks at plan time."""

from __future__ import annotations

import dataclasses
import math

from storm_exp import InputError, SettingError, check_bounds, setting
from storm_models.families.architecture import head_dim, key_value_heads
from storm_models.families.model_config import ModelConfig, by_name


@dataclasses.dataclass(frozen=True)
class Widths:
    """The widths of every layer of a model."""

    hidden: int
    inner: int
    heads: int


@dataclasses.dataclass(kw_only=True)
class WidthTargets:
    """Sizes to prune to, each as a number or as a ratio; a size without target is not pruned."""

    hidden_size: int | None = setting(None, at_least=1)
    """Hidden channels: a multiple of the number of heads, as transformers requires."""

    hidden_ratio: float | None = setting(None, above=0, at_most=1)
    """Share of the hidden channels to keep."""

    intermediate_size: int | None = setting(None, at_least=1)
    """Neurons of each MLP."""

    intermediate_ratio: float | None = setting(None, above=0, at_most=1)
    """Share of the neurons to keep."""

    heads: int | None = setting(None, at_least=1)
    """Query heads: a multiple of the key-value heads, which are all kept."""

    heads_ratio: float | None = setting(None, above=0, at_most=1)
    """Share of the query heads to keep."""

    multiple_of: int = setting(8, at_least=1)
    """Channels and neurons by ratio are rounded to a multiple of this."""

    def __post_init__(self) -> None:
        """Check the targets; raises SettingError."""
        check_bounds(self)
        for size, ratio in _PAIRS:
            number, share = getattr(self, size), getattr(self, ratio)
            if number is not None and share is not None:
                raise SettingError(ratio, share, f"{size}={number} is given already; keep one")
        if not self._targets():
            raise SettingError(
                "hidden_size", None, "nothing is pruned: give at least one size or ratio"
            )

    def resolve(self, config: ModelConfig) -> Widths:
        """Return the widths for a model with `config`.

        Raises SettingError for impossible targets, for a ratio below 1 that keeps everything, and
        when nothing is pruned at all.
        """
        groups = key_value_heads(config)
        heads = self._size("heads", "heads_ratio", config["num_attention_heads"], groups)
        if heads % groups:
            raise SettingError(
                "heads",
                heads,
                f"each of the {groups} key-value heads keeps the same number of query heads: must "
                f"be a multiple of {groups}",
            )
        step = math.lcm(heads, self.multiple_of)
        hidden = self._size("hidden_size", "hidden_ratio", config["hidden_size"], step)
        if hidden % heads:
            below = hidden - hidden % heads
            near = [n for n in (below, below + heads) if 0 < n <= config["hidden_size"]]
            raise SettingError(
                "hidden_size",
                hidden,
                f"must be a multiple of the {heads} heads, as transformers requires: "
                f"{' or '.join(map(str, near))}",
            )
        inner = self._size(
            "intermediate_size", "intermediate_ratio", config["intermediate_size"], self.multiple_of
        )
        if [hidden, inner, heads] == [by_name(config)[name] for name in _COUNTED]:
            name, value = next(iter(self._targets().items()))
            raise SettingError(
                name,
                value,
                f"nothing is pruned: {hidden} channels, {inner} neurons and {heads} heads are all "
                "that the model has",
            )
        return Widths(hidden, inner, heads)

    def _targets(self) -> dict[str, float]:
        """Return {target: value} of those that are set."""
        targets = {name: getattr(self, name) for pair in _PAIRS for name in pair}
        return {name: value for name, value in targets.items() if value is not None}

    def _size(self, size: str, ratio: str, before: int, step: int) -> int:
        """Return a size from its two targets; a ratio is rounded to a multiple of `step`."""
        number, share = getattr(self, size), getattr(self, ratio)
        if number is not None:
            if number > before:
                raise SettingError(size, number, f"is more than the model's {before}")
            return int(number)
        if share is None or share == 1:
            return before
        kept = max(step, step * round(share * before / step))
        if kept >= before:
            below = (before - 1) // step * step
            finer = "" if size == "heads" else f" (lower multiple_of={self.multiple_of})"
            smaller = f"the next smaller is {size}={below}" if below else f"none is smaller{finer}"
            raise SettingError(
                ratio, share, f"keeps all of {before}, rounded to a multiple of {step}: {smaller}"
            )
        return int(kept)


_PAIRS = (
    ("hidden_size", "hidden_ratio"),
    ("intermediate_size", "intermediate_ratio"),
    ("heads", "heads_ratio"),
)
_COUNTED = ("hidden_size", "intermediate_size", "num_attention_heads")


def narrowed_config(config: ModelConfig, widths: Widths) -> ModelConfig:
    """Return the config of a model with these widths.

    `head_dim` is stated, because hidden size and heads no longer imply it. Raises InputError for
    rotary factors of which transformers would expect another number.
    """
    rotary = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if "short_factor" in rotary and widths.hidden * config["num_attention_heads"] != (
        widths.heads * config["hidden_size"]
    ):
        raise InputError(
            "transformers computes the number of rotary factors (short_factor, long_factor) from "
            "hidden_size / heads, which must stay as it is for this model"
        )
    return {
        **config,
        "hidden_size": widths.hidden,
        "intermediate_size": widths.inner,
        "num_attention_heads": widths.heads,
        "num_key_value_heads": key_value_heads(config),
        "head_dim": head_dim(config),
    }

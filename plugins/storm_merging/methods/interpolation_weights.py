"""Interpolation weights by tensor: schedules over the layers, and checks of weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from storm_exp import InputError, SettingError, did_you_mean
from storm_merging.kernels.gradient import interpolate
from storm_models.families.architecture import tensor_shapes
from storm_models.families.model_config import ModelConfig

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


def read_schedules(schedules: Mapping[str, Sequence[Any]]) -> dict[str, list[float]]:
    """Return the schedules as floats; raises SettingError for one without points."""
    for group, points in schedules.items():
        if not points:
            raise SettingError(f"schedules.{group}", points, "needs at least one point")
    return {group: [float(point) for point in points] for group, points in schedules.items()}


def check_groups(schedules: Mapping[str, Sequence[float]], config: ModelConfig | None) -> None:
    """Raise SettingError for a group that matches no tensor of the model; skips unknown models."""
    shapes = tensor_shapes(config) if config else None
    if shapes is not None:
        resolve(0.5, schedules, list(shapes))


def resolve(
    t: float, schedules: Mapping[str, Sequence[float]], names: Sequence[str]
) -> dict[str, float]:
    """Return {tensor name: weight of the second model}.

    A group is a part of a tensor's name between dots (`self_attn`, `mlp`, `embed_tokens`). Its
    points are spread evenly from the first layer to the last, and interpolated linearly; tensors
    in no group get `t`. Raises SettingError for a group without tensors, for a tensor in two
    groups, and for several points for a tensor outside the layers.
    """
    depth = 1 + max((_layer(name) or 0 for name in names), default=0)
    weights = {}
    used = set()
    for name in names:
        groups = [group for group in schedules if group in name.split(".")]
        if len(groups) > 1:
            raise SettingError("schedules", groups, f"both match {name}; keep one")
        if not groups:
            weights[name] = t
            continue
        points = schedules[groups[0]]
        used.add(groups[0])
        layer = _layer(name)
        if layer is None and len(points) > 1:
            raise SettingError(
                f"schedules.{groups[0]}",
                list(points),
                f"{name} belongs to no layer: give one number",
            )
        position = 0.0 if layer is None or depth == 1 else layer / (depth - 1)
        weights[name] = interpolate(points, position)
    for group in schedules:
        if group not in used:
            parts = {part for name in names for part in name.split(".") if not part.isdigit()}
            raise SettingError("schedules", group, f"matches no tensor{did_you_mean(group, parts)}")
    return weights


def _layer(name: str) -> int | None:
    match = _LAYER.search(name)
    return int(match[1]) if match else None


def check_weights(weights: Sequence[float], scale: float = 1.0) -> None:
    """Raise SettingError for a weight or scale that is NaN or infinite."""
    if not all(map(math.isfinite, weights)):
        raise SettingError("weights", list(weights), "must be finite")
    if not math.isfinite(scale):
        raise SettingError("scale", scale, "must be finite")


def equal_weights(weights: list[float], count: int) -> list[float]:
    """Return `weights`, or 1 for each model if empty; raises InputError for a wrong number."""
    if weights and len(weights) != count:
        raise InputError(f"weights={weights}: {len(weights)} weights for {count} models")
    return list(weights) or [1.0] * count

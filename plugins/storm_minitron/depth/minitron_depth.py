"""The component `minitron_depth`: depth pruning."""

from __future__ import annotations

import enum
import json
import math
from typing import Any

from storm_exp import Cost, InputError, SettingError, StageContext, component, setting
from storm_minitron.depth.block_importance import BlockImportance, BlockImportanceSpec
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.depth import PER_LAYER_LISTS, depth_spec
from storm_models.checkpoint.inference_cost import writing_cost
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.families.model_config import by_name


class Criterion(enum.Enum):
    """How the least important run of layers is chosen."""

    exact_match = "exact_match"
    """Most correct answers without it; ties: lowest loss."""
    token_accuracy = "token_accuracy"
    """Most correct answer tokens without it; ties: lowest loss."""
    perplexity = "perplexity"
    """Lowest loss without it."""
    block_influence = "block_influence"
    """Smallest angle between its input and output."""


@component("compressor", "minitron_depth", version=1)
class MinitronDepth:
    """Depth pruning (Minitron, Sreenivas et al. 2024, arXiv 2408.11796).

    Drops a run of consecutive layers: a given one, or the least important one by a scan. The result
    is worse than the model until it is distilled.
    """

    layers: int | None = setting(None, at_least=1)
    """Layers to keep."""

    layers_ratio: float | None = setting(None, above=0, below=1)
    """Share of the layers to keep, instead of `layers`."""

    first: int | None = setting(None, at_least=0)
    """The first layer to drop, from 0; null: the scan decides."""

    drop: list[int] = setting([], at_least=0)
    """Layers to drop, from 0, in any positions, instead of all the above."""

    by: Criterion = Criterion.exact_match
    """How a scan's least important run is chosen: exact_match, token_accuracy, perplexity or
    block_influence."""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        if self.drop:
            self._check_drop()
            return
        if self.layers is None and self.layers_ratio is None:
            problem = "give one of layers, layers_ratio and drop"
            raise SettingError("layers", self.layers, problem)
        if self.layers is not None and self.layers_ratio is not None:
            problem = f"layers_ratio={self.layers_ratio} is set too: unset it (layers_ratio=null)"
            raise SettingError("layers", self.layers, problem)

    def idle_ports(self) -> set[str]:
        """Return the port `importance` if the settings name the layers."""
        return {"importance"} if self.drop or self.first is not None else set()

    def plan_spec(
        self, model: CheckpointSpec, importance: BlockImportanceSpec | None = None
    ) -> CheckpointSpec:
        """Return the spec of the pruned model.

        Raises InputError without the needed scan, SettingError for layers that cannot be dropped.
        """
        if self.idle_ports():
            return depth_spec(model, self.kept)
        if importance is None:
            raise InputError(
                "which layers to drop is not known: connect the port 'importance' "
                "(scanner block_importance), or set first or drop"
            )
        self._check_scan(model, importance)
        # Before the scan, only the number of layers is known, not which and of what types.
        result = depth_spec(model, lambda layers: range(layers - self._count(layers)))
        for name in (*PER_LAYER_LISTS, "max_window_layers"):
            by_name(result.config or {}).pop(name, None)
        return result

    def cost(self, spec: CheckpointSpec) -> Cost | None:
        """Return the disk space and time of writing the checkpoint."""
        return writing_cost(spec)

    def run(
        self, stage: StageContext, model: Checkpoint, importance: BlockImportance | None = None
    ) -> Checkpoint:
        """Write the kept layers, `pruning.json` and `surgery.json`."""
        from storm_models.checkpoint.surgery import rearrange

        layers = model.config()["num_hidden_layers"]
        scan = importance.content() if importance is not None else None
        dropped = self.dropped(layers, scan)
        result = rearrange(stage, model, self.kept(layers, scan))
        parameters = [checkpoint.spec().parameters or 0 for checkpoint in (model, result)]
        content = {
            "method": "minitron_depth",
            "layers": layers,
            "dropped": dropped,
            "by": self.by.value if scan and not self.idle_ports() else "given",
            "parameters": parameters,
        }
        text = json.dumps(content, indent=1) + "\n"
        (stage.directory / "pruning.json").write_text(text, encoding="utf-8")
        stage.metric("parameters", parameters[1])
        stage.say(f"without the layers {', '.join(map(str, dropped))} of {layers}")
        return result

    def dropped(self, layers: int, scan: dict[str, Any] | None = None) -> list[int]:
        """Return the layers to drop from a model of `layers` layers, in order.

        `scan` is the content of a BlockImportance, needed if neither `first` nor `drop` is set.
        Raises SettingError.
        """
        if self.drop:
            if max(self.drop) >= layers:
                raise SettingError("drop", self.drop, f"the layers are 0 to {layers - 1}")
            if len(self.drop) == layers:
                raise SettingError("drop", self.drop, "leaves nothing")
            return sorted(self.drop)
        count = self._count(layers)
        first = self.first
        if first is None:
            assert scan is not None
            first = least_important(scan, count, self.by)
        if first < 0 or first + count > layers:
            problem = f"{count} layers are dropped, so it must be between 0 and {layers - count}"
            raise SettingError("first", first, problem)
        return list(range(first, first + count))

    def kept(self, layers: int, scan: dict[str, Any] | None = None) -> list[int]:
        """Return the layers to keep, in order."""
        dropped = self.dropped(layers, scan)
        return [layer for layer in range(layers) if layer not in dropped]

    def _count(self, layers: int) -> int:
        if self.layers_ratio is not None:
            kept = max(1, round(self.layers_ratio * layers))
            if kept == layers:
                problem = f"keeps all of {layers} layers"
                raise SettingError("layers_ratio", self.layers_ratio, problem)
            return layers - kept
        assert self.layers is not None
        if self.layers >= layers:
            problem = f"must be fewer than the model's {layers}"
            raise SettingError("layers", self.layers, problem)
        return layers - self.layers

    def _check_drop(self) -> None:
        repeated = [layer for layer in self.drop if self.drop.count(layer) > 1]
        if repeated:
            raise SettingError("drop", self.drop, f"names layer {repeated[0]} more than once")
        others = {name: getattr(self, name) for name in ("layers", "layers_ratio", "first")}
        others = {name: value for name, value in others.items() if value is not None}
        if others:
            values = ", ".join(f"{name}={value}" for name, value in others.items())
            unset = " ".join(f"{name}=null" for name in others)
            problem = f"names the layers already, and {values} is set too: unset it ({unset})"
            raise SettingError("drop", self.drop, problem)

    def _check_scan(self, model: CheckpointSpec, scan: BlockImportanceSpec) -> None:
        if scan.shapes and model.shapes and scan.shapes != model.shapes:
            raise InputError("the scan was made of a model with other tensor shapes")
        if self.by is Criterion.block_influence or scan.counts is None or model.config is None:
            return
        count = self._count(model.config["num_hidden_layers"])
        if count not in scan.counts:
            tried = ", ".join(map(str, scan.counts)) or "no length"
            raise InputError(
                f"{count} layers are to be dropped, but the scan removes runs of {tried}: add "
                f"{count} to its counts, or set by=block_influence"
            )


def least_important(scan: dict[str, Any], count: int, by: Criterion) -> int:
    """Return the first layer of a scan's least important run of `count` layers."""
    if by is Criterion.block_influence:
        rows = scan["influence"]
        return min(range(len(rows) - count + 1), key=lambda first: rows[first][count - 1])
    candidates = [entry for entry in scan["candidates"] if entry["count"] == count]

    def rank(entry: dict[str, Any]) -> tuple[float, float]:
        loss = entry["loss"] if math.isfinite(entry["loss"]) else math.inf
        return (0.0 if by is Criterion.perplexity else -entry[by.value]), loss

    return int(min(candidates, key=rank)["first"])

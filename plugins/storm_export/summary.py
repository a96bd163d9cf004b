"""The record of a compression: sizes before and after."""

from __future__ import annotations

import json
from typing import Any

from storm_exp import StageContext
from storm_models.checkpoint.checkpoint import Checkpoint


def summarise(
    stage: StageContext, before: Checkpoint, after: Checkpoint, quantised: int, **further: Any
) -> None:
    """Write `compression.json` beside the result, and record the ratio of sizes as a metric.

    `quantised` is the number of tensors whose format changed. Sizes are those of the weight files,
    headers included. `further` is written too.
    """
    size_before, size_after = before.weight_bytes(), after.weight_bytes()
    figures = {
        "bytes_before": size_before,
        "bytes_after": size_after,
        "ratio": size_after / size_before,
        "quantised": quantised,
        "kept": len(before.headers()) - quantised,
        **further,
    }
    text = json.dumps(figures, indent=1) + "\n"
    (after.directory / "compression.json").write_text(text, encoding="utf-8")
    stage.metric("ratio", figures["ratio"], main=True)

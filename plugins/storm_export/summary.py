"""What compressing a checkpoint came to."""

from __future__ import annotations

import json

from storm_exp import StageContext
from storm_models.checkpoint.checkpoint import Checkpoint


def summarise(stage: StageContext, before: Checkpoint, after: Checkpoint, quantised: int) -> None:
    """Leave `compression.json` beside the result and record its ratio of bytes.

    `quantised` counts the tensors that changed their format. Bytes are those of the weight
    files, headers included.
    """
    sizes = [each.weight_bytes() for each in (before, after)]
    figures = {
        "bytes_before": sizes[0],
        "bytes_after": sizes[1],
        "ratio": sizes[1] / sizes[0],
        "quantised": quantised,
        "kept": len(before.headers()) - quantised,
    }
    text = json.dumps(figures, indent=1) + "\n"
    (after.directory / "compression.json").write_text(text, encoding="utf-8")
    stage.metric("ratio", figures["ratio"], main=True)

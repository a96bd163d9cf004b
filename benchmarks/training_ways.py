"""The ways that training is compared in, and how much each model is trained: see training.py."""

from __future__ import annotations

from typing import Any

LENGTH = 1024
"""Tokens of a packed row."""
PRECISIONS = ("bfloat16_mixed", "float32")
PLAIN = ("plain loop, packed", "plain loop, at random")
"""The ways without a trainer."""
Options = dict[str, Any]

TASKS: dict[str, dict[str, Options]] = {
    "small": {
        "sft": {"rows": 600, "held_out": 60, "learning_rate": 1e-3, "batch_rows": 2},
        "dpo": {"rows": 300, "held_out": 40, "learning_rate": 1e-5, "batch_rows": 2},
    },
    "smollm2": {
        "sft": {"rows": 48, "held_out": 12, "learning_rate": 1e-4, "batch_rows": 1},
        "dpo": {"rows": 48, "held_out": 12, "learning_rate": 1e-6, "batch_rows": 1},
    },
}
"""By model; `batch_rows` packed rows are a step."""


def ways(objective: str, rows: int) -> dict[str, list[Options]]:
    """Return the ways of an objective, each with the variants that are tried."""
    padded: dict[str, list[Options]] = {
        "storm": [{"side": "storm", "sequence_length": LENGTH}],
        "TRL, at random": [{"side": "trl"}],
        "TRL, by length": [{"side": "trl", "sampling": "group_by_length"}],
    }
    if objective == "dpo":
        return padded
    packed = {"side": "trl", "packed": LENGTH}
    shapes = [{"batch": 1, "accumulation": rows}, {"batch": rows}][: min(rows, 2)]
    plain = {"side": "plain", "packed": LENGTH, "sequence_length": LENGTH}
    return padded | {
        "TRL, packed": [packed | shape for shape in shapes],
        PLAIN[0]: [plain],
        PLAIN[1]: [{"side": "plain"}],
    }


def precisions(model: str) -> tuple[str, ...]:
    """Return the precisions to try: a large model not in bf16 that the processor only emulates."""
    from storm_training.loop.precision import choose_precision

    emulated = choose_precision("auto", "cpu") == "float32"
    return ("float32",) if emulated and model != "small" else PRECISIONS

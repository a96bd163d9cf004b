"""The overview's table: all recipes' arms on the same questions, beside the untuned base model."""

from __future__ import annotations

from collections.abc import Callable

from results import table
from storm_evaluation.evaluation import Evaluation
from study_tables import LOSS, common_mean, group, spread

Arm = tuple[str, Callable[[], list[Evaluation]]]


def arm(name: str, run: str, model: str, *overrides: str) -> Arm:
    """Return a line of the table, whose evaluations are read when it is written."""
    return name, lambda: group(run, model, *overrides)


def curated(name: str, curator: str) -> Arm:
    """Return a line of what was tuned on the rows that a curator of the miniature kept."""
    return arm(name, "curation_control", "finetuner", f"curator=tinyworld/{curator}")


ARMS: dict[str, list[Arm]] = {
    "all but TinyLlama": [arm("untuned base model", "storm", "base_model")],
    "Storm": [
        curated("as many rows at random", "random"),
        curated("curated by the model itself", "thresholds"),
        arm("merged with its sibling", "storm", "merger"),
    ],
    "SOLAR": [
        arm("up-scaled", "solar", "upscaler"),
        arm("up-scaled, pretrained on", "solar", "pretrainer"),
        arm("control: pretrained on without new layers", "solar_control", "pretrainer"),
    ],
    "Minitron": [
        arm("corrected teacher", "minitron_width", "corrector"),
        arm("pruned in width", "minitron_width", "pruner"),
        arm("pruned in width, distilled", "minitron_width", "distiller"),
        arm("control: shuffled teacher", "minitron_width_shuffled", "distiller"),
        arm("control: from scratch", "minitron_width", "scratch"),
        arm("pruned in depth", "minitron_depth", "pruner"),
        arm("pruned in depth, distilled", "minitron_depth", "distiller"),
    ],
    "Birbal": [
        arm("1,200 rows at random", "birbal_random", "finetuner"),
        arm("1,200 rows that the base model got wrong", "birbal", "finetuner"),
    ],
    "TinyLlama": [
        arm("epoch 1", "tinyllama", "epoch_1"),
        arm("epoch 3", "tinyllama", "epoch_3"),
        arm("tuned on chats", "tinyllama", "finetuner"),
    ],
}
"""Arms by recipe."""


def headline() -> str:
    """Return the table, mean ± standard deviation over seeds."""
    rows = []
    for recipe, arms in ARMS.items():
        for name, read in arms:
            found = [evaluation.summary() for evaluation in read()]
            means = spread([common_mean(summary) for summary in found])
            losses = spread([summary["tasks"][LOSS]["score"] for summary in found])
            rows.append([recipe, name, str(len(found)), means, losses])
    return table(["", "", "seeds", "mean of four tasks", "loss"], rows)

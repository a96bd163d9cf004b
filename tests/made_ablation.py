"""Records of ablations that never ran, with evaluations that were made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from made_up import cell
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import Sample
from storm_exp.report import CellRecord, RunRecord, StageRecord

QUESTIONS = 200
SEEDS = ("0", "1", "2")
CONTROLS: dict[str, Any] = {
    "curation": {"says": "as many rows at random", "overrides": ["curator=random"]},
    "merging": {"says": "the fine-tune alone", "result": "finetuner"},
    "gone": None,
}
CHANCES = {"": 0.6, "curation": 0.3, "merging": 0.6}
"""{arm: chance of a right answer}"""


def evaluate(folder: Path, chance: float, draw: np.random.Generator) -> StageRecord:
    """Write an evaluation of two tasks, and return its record."""
    folder.mkdir(parents=True)
    hard = np.linspace(0, 1, QUESTIONS)
    rows = [
        Sample(
            task=task,
            document=f"d{n}",
            prompt=f"question {n}",
            prediction=f"an answer to {n}",
            score=float(draw.random() < chance * (1.2 - 0.4 * h)),
            metrics={"probability": chance * (1.2 - 0.4 * h)} if task == "tasks_easy" else {},
        )
        for task in ("tasks_easy", "tasks_other")
        for n, h in enumerate(hard)
    ]
    Evaluation(folder).write(
        dict.fromkeys(("tasks_easy", "tasks_other"), ("acc", True)), rows, {}, ""
    )
    return StageRecord(
        stage="evaluator",
        element="merger",
        component="lm_eval",
        artifact="Evaluation",
        key=folder.name,
        inputs={},
        status="made",
        settings={"limit": 9},
        spec={},
        directory=str(folder),
    )


def ablation(
    folder: Path,
    *,
    design: str = "one_out",
    seeds: tuple[str, ...] = SEEDS,
    missing: tuple[tuple[str, str], ...] | set[tuple[str, str]] = (),
    recipe: str = "storm",
    chances: dict[str, float] | None = None,
    controls: dict[str, Any] | None = None,
) -> RunRecord:
    """Return the record of an ablation, whose evaluations are in `folder`."""
    draw = np.random.default_rng(5)
    cells: list[CellRecord] = []
    for arm, chance in (CHANCES if chances is None else chances).items():
        for seed in seeds:
            found = evaluate(folder / f"{design}-{arm}-{seed}", chance, draw)
            section = {"result": "merger", "design": design, "controls": controls or CONTROLS}
            section["arm"] = arm
            stages = [] if (arm, seed) in missing else [found]
            words = (f"seed={seed}", f"ablation.arm={arm}")
            cells.append(cell(*stages, overrides=words, ablation=section))
    return RunRecord(
        directory=folder,
        recipe=recipe,
        scale="",
        when="",
        argv=[],
        environment={},
        cells=cells,
    )

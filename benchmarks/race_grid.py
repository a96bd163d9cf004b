"""A recorded grid: every answer of its cells and seeds, the stages behind them, and their FLOPs."""

from __future__ import annotations

import dataclasses
import json
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storm_evaluation.comparison.significance import Floats
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.race.answers import read_answers
from storm_exp import Plan
from storm_exp.report import CellRecord, RunRecord
from storm_exp.testing import plan
from storm_models.estimate.hardware import Hardware
from storm_report.run_table import is_seed

RECORD = Path(__file__).parent / "race_answers.json"
GIVEN = "base_model"
"""The stage whose FLOPs count nowhere: a recipe at full size downloads its base model."""
_OWN = ("outputs", "name")
"""Settings of a run that no key depends on."""


@dataclasses.dataclass(frozen=True)
class Grid:
    """Answers of cells and seeds, and what they cost."""

    commands: list[str]
    cells: list[list[str]]
    """What each cell sets beside what all set, without its seed."""
    tasks: list[Floats]
    """Answers, a task [cells, seeds, questions]."""
    needs: npt.NDArray[np.bool_]
    """Which stages an evaluation needs, [cells, seeds, stages]."""
    flops: Floats
    """FLOPs of a stage, [stages]."""
    question: float
    """FLOPs of asking a model one question."""

    @property
    def names(self) -> list[str]:
        """What tells each cell apart."""
        return [" ".join(words) for words in self.cells]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Cells, seeds, and the questions of each task."""
        cells, seeds, questions = self.tasks[0].shape
        return cells, seeds, questions

    @property
    def scores(self) -> Floats:
        """Mean scores over all tasks and questions, [cells, seeds]."""
        return np.asarray(np.mean([task.mean(-1) for task in self.tasks], 0))

    def cost(self, asked: npt.NDArray[Any]) -> float:
        """Return the FLOPs of asking each task so many questions, [cells, seeds]."""
        questions = len(self.tasks) * float(asked.sum())
        return self.making(asked > 0) + self.question * questions

    def making(self, evaluated: npt.NDArray[np.bool_]) -> float:
        """Return the FLOPs of all that these evaluations need; what several need counts once."""
        return float(self.needs[evaluated].any(0) @ self.flops)

    def whole(self) -> float:
        """Return the FLOPs of the grid."""
        cells, seeds, questions = self.shape
        return self.cost(np.full((cells, seeds), questions))

    def shuffled(self, draw: np.random.Generator) -> Grid:
        """Return the grid with seeds and questions in another order."""
        order = draw.permutation(self.shape[1])
        tasks = [task[:, order][..., draw.permutation(task.shape[-1])] for task in self.tasks]
        return dataclasses.replace(self, tasks=tasks, needs=self.needs[:, order])

    def trained(self, word: str) -> Grid:
        """Return the cells with an override, as if all but their questions were given."""
        chosen = [number for number, words in enumerate(self.cells) if word in words]
        return dataclasses.replace(
            self,
            cells=[self.cells[number] for number in chosen],
            tasks=[task[chosen] for task in self.tasks],
            needs=self.needs[chosen],
            flops=np.zeros_like(self.flops),
        )

    def write(self) -> None:
        """Write race_answers.json."""
        content = {
            "commands": self.commands,
            "cells": self.cells,
            "flops": self.flops.tolist(),
            "question": self.question,
            "needs": [[np.flatnonzero(row).tolist() for row in cell] for cell in self.needs],
            "answers": [
                [["".join(str(int(a)) for a in row) for row in cell] for cell in task]
                for task in self.tasks
            ],
        }
        RECORD.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def read(cls) -> Grid:
        """Return the grid in race_answers.json."""
        content = json.loads(RECORD.read_text(encoding="utf-8"))
        tasks = [
            np.array([[[int(a) for a in row] for row in cell] for cell in task], float)
            for task in content["answers"]
        ]
        needs = np.zeros((*tasks[0].shape[:2], len(content["flops"])), bool)
        for cell, row in enumerate(content["needs"]):
            for seed, stages in enumerate(row):
                needs[cell, seed, stages] = True
        flops = np.array(content["flops"], float)
        return cls(content["commands"], content["cells"], tasks, needs, flops, content["question"])


def record(folders: Sequence[Path]) -> Grid:
    """Return the grid that the runs of some sweeps make up, all over the same seeds."""
    runs = [RunRecord.read(folder.resolve()) for folder in folders]
    cells = [cell for run in runs for cell in run.cells]
    common = set(cells[0].overrides).intersection(*(cell.overrides for cell in cells))
    found: dict[tuple[str, ...], list[CellRecord]] = {}
    for cell in cells:
        own = (word for word in cell.overrides if word not in common)
        found.setdefault(tuple(w for w in own if not is_seed(_name(w))), []).append(cell)
    evaluations = [
        [Path(c.of_type("Evaluation")[-1].directory) for c in own] for own in found.values()
    ]
    tokens = _tokens(cells[0], Evaluation(evaluations[0][0]))
    argvs = [[w for w in run.argv[1:] if _name(w) not in _OWN] for run in runs]
    costs: dict[str, float] = {}
    for words in argvs:
        _note_costs(costs, words, tokens)
    stages = [key for key in costs if not key.startswith("evaluation ")]
    asked = sum(1 for _ in Evaluation(evaluations[0][0]).samples())
    needs = np.array(
        [
            [[key in {stage.key for stage in cell.stages} for key in stages] for cell in own]
            for own in found.values()
        ]
    )
    return Grid(
        commands=[shlex.join(["storm-exp", *words]) for words in argvs],
        cells=[list(words) for words in found],
        tasks=read_answers(evaluations),
        needs=needs,
        flops=np.array([costs[key] for key in stages]),
        question=max((costs[key] for key in costs if key not in stages), default=0.0) / asked,
    )


def _name(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def _tokens(cell: CellRecord, evaluation: Evaluation) -> int | None:
    """Return the tokens of an evaluation's prompts and answers, None without a tokenizer."""
    models = cell.of_type("Checkpoint")
    if not models:
        return None
    from tokenizers import Tokenizer

    read = Tokenizer.from_file(str(Path(models[0].directory) / "tokenizer.json"))
    texts = [sample.prompt + sample.prediction for sample in evaluation.samples()]
    return sum(len(each.ids) for each in read.encode_batch(texts, add_special_tokens=False))


def _note_costs(costs: dict[str, float], words: list[str], tokens: int | None) -> None:
    """Note the FLOPs of every stage of a sweep as its plan estimates them from an empty store."""
    further = [] if tokens is None else [f"evaluator.expected_tokens={tokens}"]
    with tempfile.TemporaryDirectory() as folder:
        planned: Plan = plan(Path(folder), *words, *further)
        hardware = Hardware.of(planned.cells[0].recipe.runtime, full_size=False)
        for node in planned.nodes.values():
            cost = node.cost(hardware=hardware)
            evaluates = node.component.output.__name__ == "Evaluation"
            flops = (cost.flops or 0.0) if cost else 0.0
            key = f"evaluation {node.key}" if evaluates else node.key
            costs[key] = 0.0 if node.stage == GIVEN else flops

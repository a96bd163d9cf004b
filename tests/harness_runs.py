"""Evaluations through the harness, run in a folder of a test."""

from __future__ import annotations

from pathlib import Path

from storm_evaluation.harness.lm_eval import LmEval
from storm_exp.testing import make_stage
from storm_models.checkpoint.checkpoint import Checkpoint


def evaluate(folder: Path, checkpoint: Checkpoint, task_folder: Path, **settings: object):
    """Return an evaluation of two tasks of a folder, and its stage."""
    settings = {"tasks": ["choose", "write"], "task_folder": str(task_folder), **settings}
    stage = make_stage(folder, "evaluator")
    return LmEval(**settings).run(stage, checkpoint), stage


def harness_model(folder: Path, checkpoint: Checkpoint, model, batch_size: int = 2):
    """Return a loaded checkpoint as the harness's model."""
    from storm_evaluation.harness.language_model import HarnessModel

    return HarnessModel(
        model,
        checkpoint.tokenizer(),
        checkpoint.chat(),
        make_stage(folder),
        batch_size=batch_size,
        max_length=None,
    )


def asked(model, question: str) -> str:
    """Return the prompt of a question."""
    return model.apply_chat_template([{"role": "user", "content": question}])

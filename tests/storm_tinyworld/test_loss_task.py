"""The loss of right answers, compared with a forward pass over each."""

from __future__ import annotations

import pytest
import torch

from storm_evaluation.harness.lm_eval import LmEval
from storm_exp.testing import make_stage
from storm_models.testing import make_checkpoint


def test_a_right_answer_s_loss_is_its_negative_log_likelihood_per_character(tmp_path):
    model = make_checkpoint(tmp_path / "model", dtype="float32", max_position_embeddings=512)
    stage = make_stage(tmp_path)
    asked = LmEval(
        task_folder="pkg://storm_tinyworld/tasks",
        tasks=["tinyworld_loss"],
        limit=6,
        batch_size=4,
        dtype="float32",
    )
    evaluation = asked.run(stage, model)
    tokenizer, network = model.tokenizer(), model.load("float32")
    rows = [vars(sample) for sample in evaluation.samples()]
    assert len(rows) == 6
    for row in rows:
        assert "<|end|>" not in row["target"]
        prompt, answer = (
            tokenizer(row[name], add_special_tokens=False)["input_ids"]
            for name in ("prompt", "target")
        )
        with torch.no_grad():
            logits = network(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
        chosen = logits[len(prompt) - 1 : -1].gather(1, torch.tensor(answer)[:, None])
        assert row["score"] == pytest.approx(-float(chosen.sum()) / len(row["target"]), rel=1e-4)
    assert stage.metrics["loss"] == pytest.approx(sum(row["score"] for row in rows) / 6)
    assert stage.main_metric == "loss"


def test_every_right_answer_is_scored_as_it_stands(tmp_path):
    """Some look like Python lists, which the harness would parse in a template."""
    model = make_checkpoint(tmp_path / "model", dtype="float32", max_position_embeddings=512)
    stage = make_stage(tmp_path)
    asked = LmEval(task_folder="pkg://storm_tinyworld/tasks", tasks=["tinyworld_loss"])
    asked.run(stage, model)
    assert stage.metrics["documents"] == 960

"""Exports as the last stages of recipes."""

import pytest

from storm_exp import PlanError
from storm_export.gguf.libllama import FOLDER
from storm_models.testing import make_checkpoint

pytest.importorskip("gguf")

WIDE = {"hidden_size": 256, "head_dim": 64, "intermediate_size": 512}


def test_a_plan_says_that_libllama_is_missing(tmp_path, monkeypatch, plan):
    make_checkpoint(tmp_path / "model", **WIDE)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    words = [
        "recipe=merge",
        f"base_model.path={tmp_path / 'model'}",
        f"partner.path={tmp_path / 'model'}",
        "+exporter=gguf",
        "exporter.types=[q4_k_m]",
        "+graph.exporter.model=merger",
    ]
    with pytest.raises(PlanError, match=r"types.*npm install"):
        plan(*words)
    plan(*words, "runtime.accelerator=h100")

"""Exports as the last stages of recipes."""

import pytest

from storm_export.gguf.libllama import FOLDER
from storm_export.gguf.needed import notices
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
    (line,) = notices(plan(*words))
    assert line.startswith("exporter: q4_k_m will need") and "npm install" in line
    assert notices(plan(*words, "exporter.types=[q8_0]")) == []

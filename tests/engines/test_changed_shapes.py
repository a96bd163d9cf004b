"""A model whose shape was changed, served by vLLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.log_probabilities import computed, served
from engines.servers import Servers
from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp.testing import make_stage
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_minitron.depth.minitron_depth import MinitronDepth
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint

TOLERANCE = 1e-4
"""Of log-probabilities in 32 bits: vLLM's kernels sum in another order."""
SIZES = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32, "num_hidden_layers": 4}


def changed(folder: Path) -> Checkpoint:
    """Return a llama that was pruned in depth and in width, and then made deeper."""
    model = make_checkpoint(folder / "model", initializer_range=0.2, dtype="float32", **SIZES)
    shallow = MinitronDepth(layers=3, first=1).run(make_stage(folder, "shallow"), model)
    (folder / "chats").mkdir()
    data = Dataset(folder / "chats")
    turns = [{"role": "user", "content": "Say yes"}, {"role": "assistant", "content": "Yes"}]
    rows = [{"id": str(n), "messages": turns, "source": "made up"} for n in range(4)]
    data.write("train", rows, chat_schema())
    scanner = ImportanceScanner(seed=0, max_length=64, pad_to_multiple_of=16)
    importance = scanner.run(make_stage(folder, "importance"), shallow, data)
    pruner = MinitronWidth(hidden_size=96, intermediate_size=160)
    narrow = pruner.run(make_stage(folder, "narrow"), shallow, importance)
    return DepthUpscale(m=1).run(make_stage(folder, "deep"), narrow)


def test_vllm_gives_a_changed_model_the_probabilities_that_transformers_does(
    servers: Servers, tmp_path: Path
) -> None:
    model = changed(tmp_path)
    shapes = {name: shape for name, (_, shape) in model.headers().items()}
    assert list(shapes["model.layers.3.mlp.down_proj.weight"]) == [96, 160]
    assert list(shapes["model.layers.0.self_attn.q_proj.weight"]) == [128, 96]
    ids = [5, 17, 40, 8, 33, 21, 9, 60, 12]
    server = servers.get(model.directory, max_length=128)
    assert served(server, ids) == pytest.approx(computed(model, ids), abs=TOLERANCE)

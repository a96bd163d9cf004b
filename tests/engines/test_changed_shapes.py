"""Pruned and up-scaled models, served by vLLM."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp.testing import make_stage
from storm_inference.environments.vllm import vllm
from storm_inference.servers.vllm_server import Launch, Starting
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_minitron.depth.minitron_depth import MinitronDepth
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models.testing import make_checkpoint

TOLERANCE = 0.02
"""For log-probabilities: vLLM's CPU kernels sum in another order; the KV cache is in fp32."""


def served(model: Path, ids: list[int]) -> list[float]:
    """Return vLLM's log-probability of every token of a prompt but the first."""
    launch = Launch(
        python=vllm().python(),
        model=model,
        log=model.parent / "vllm.log",
        dtype="float32",
        max_length=128,
    )
    server = Starting(launch).wait(900)
    request = {"model": "model", "prompt": ids, "max_tokens": 1, "prompt_logprobs": 0}
    try:
        answer = server.post("/v1/completions", request)
    finally:
        server.close()
    entries = answer["choices"][0]["prompt_logprobs"][1:]
    return [entry[str(token)]["logprob"] for entry, token in zip(entries, ids[1:], strict=True)]


def computed(model: Path, ids: list[int]) -> list[float]:
    """Return transformers' log-probabilities of the same tokens."""
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.no_grad():
        scores = network(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(1)
    return scores.gather(1, torch.tensor(ids[1:])[:, None]).squeeze(1).tolist()


def changed(shape: str, folder: Path) -> Path:
    """Return a llama of 4 layers, 128 channels and heads of 32, pruned or up-scaled."""
    sizes = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32, "num_hidden_layers": 4}
    model = make_checkpoint(folder / "model", initializer_range=0.2, dtype="float32", **sizes)
    if shape == "depth":
        pruner = MinitronDepth(layers=2, first=1)
        return pruner.run(make_stage(folder, "pruned"), model).directory
    if shape == "upscaled":
        return DepthUpscale(m=1).run(make_stage(folder, "deeper"), model).directory
    (folder / "chats").mkdir()
    data = Dataset(folder / "chats")
    turns = [{"role": "user", "content": "Say yes"}, {"role": "assistant", "content": "Yes"}]
    rows = [{"id": str(n), "messages": turns, "source": "made up"} for n in range(4)]
    data.write("train", rows, chat_schema())
    scanner = ImportanceScanner(seed=0, max_length=64, pad_to_multiple_of=16)
    importance = scanner.run(make_stage(folder, "importance"), model, data)
    pruner = MinitronWidth(hidden_size=96, intermediate_size=160)
    return pruner.run(make_stage(folder, "pruned"), model, importance).directory


@pytest.mark.parametrize("shape", ["width", "depth", "upscaled"])
def test_vllm_and_transformers_agree_on_a_changed_model(shape, tmp_path):
    model = changed(shape, tmp_path)
    ids = [5, 17, 40, 8, 33, 21, 9, 60, 12]
    assert served(model, ids) == pytest.approx(computed(model, ids), abs=TOLERANCE)

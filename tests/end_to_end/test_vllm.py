"""Models whose shape was changed, served by vLLM.

vLLM has an environment of its own: STORM_EXP_VLLM names its Python. Without it nothing is tested.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from storm_data.dataset import Dataset
from storm_data.rows.arrow_schema import chat_schema
from storm_exp.testing import make_stage
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_minitron.depth.minitron_depth import MinitronDepth
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models.testing import make_checkpoint

PYTHON = os.environ.get("STORM_EXP_VLLM", "")
TOLERANCE = 0.02
"""Of log-probabilities: vLLM's kernels on a CPU sum in another order, the KV cache is in fp32."""

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON, reason="STORM_EXP_VLLM does not name vLLM's Python"),
]


def served(model: Path, ids: list[int]) -> list[float]:
    """Return vLLM's log-probability of every token of a prompt but the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    words += ["--port", str(port), "--host", "127.0.0.1", "--served-model-name", "model"]
    words += ["--max-model-len", "128", "--enforce-eager", "--dtype", "float32"]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    environment |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    log = model / "vllm.log"
    with log.open("w", encoding="utf-8") as stream:
        server = subprocess.Popen(words, env=environment, stdout=stream, stderr=stream)
    try:
        _wait(server, port, log)
        request = {"model": "model", "prompt": ids, "max_tokens": 1, "prompt_logprobs": 0}
        answer = _ask(port, "/v1/completions", request)
    finally:
        server.terminate()
        server.wait(60)
    found = answer["choices"][0]["prompt_logprobs"][1:]
    return [place[str(token)]["logprob"] for place, token in zip(found, ids[1:], strict=True)]


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text(encoding="utf-8")[-4000:]
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
        except OSError:
            time.sleep(1)
        else:
            return
    pytest.fail(f"vLLM did not start: {log.read_text(encoding='utf-8')[-4000:]}")


def _ask(port: int, path: str, request: dict[str, object]) -> dict[str, object]:
    call = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(request).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(call, timeout=120) as answer:
        return json.load(answer)


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
def test_vllm_gives_a_changed_model_the_probabilities_that_transformers_does(shape, tmp_path):
    model = changed(shape, tmp_path)
    ids = [5, 17, 40, 8, 33, 21, 9, 60, 12]
    assert served(model, ids) == pytest.approx(computed(model, ids), abs=TOLERANCE)

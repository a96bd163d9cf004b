"""The command line and environment of vLLM's server for a checkpoint on one device."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from pathlib import Path
from typing import Any

from storm_inference.servers.port import HOST

_OWN = (
    "PYTHONPATH",
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)
"""Environment variables that servers must not inherit: vLLM would join torchrun's process group."""
_QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
_CPU_BLOCK = 32
"""Tokens of a block of the prefix cache, the least that vLLM's kernels for CPUs advise (not 128):
only whole blocks of a prefix that two questions share are computed once."""
_LABELS = 64
"""Maximum number of labels in a request."""


def unique_name() -> str:
    """Return a model's name that no other server has."""
    return f"model-{secrets.token_hex(4)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Launch:
    """A server's checkpoint and options."""

    engine: str = "vLLM"
    python: Path
    """The interpreter of vLLM's environment."""
    model: Path
    """A folder in Hugging Face layout."""
    log: Path
    dtype: str
    quantisation: str = ""
    max_length: int | None = None
    """Maximum length of a prompt with its answer, in tokens; None: that of the model's config."""
    requests: int = 32
    memory: float = 0.9
    """Share of a GPU's memory."""
    gpu: int | None = None
    """Index of the GPU; None: the CPU."""
    threads: int = 1
    port: int = 0
    """0: a free port."""
    host: str = HOST
    name: str = dataclasses.field(default_factory=unique_name)
    """Name of the model in requests."""
    own_generation: bool = False
    """Whether generation_config.json provides the defaults of requests."""
    template_arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Variables of the chat template."""

    def words(self, port: int) -> list[str]:
        """Return the command line."""
        words = [str(self.python), "-m", "vllm.entrypoints.openai.api_server"]
        words += ["--model", str(self.model), "--served-model-name", self.name]
        words += ["--host", self.host, "--port", str(port), "--dtype", self.dtype]
        words += ["--enable-prefix-caching", "--max-logprobs", str(_LABELS)]
        # Stages set all sampling parameters: the model's generation_config.json must not apply.
        words += ["--generation-config", "auto" if self.own_generation else "vllm"]
        words += ["--max-num-seqs", str(max(self.requests, 2))]
        if self.template_arguments:
            words += ["--default-chat-template-kwargs", json.dumps(self.template_arguments)]
        if self.quantisation:
            words += ["--quantization", self.quantisation]
        if self.max_length is not None:
            words += ["--max-model-len", str(self.max_length)]
        if self.gpu is None:
            return [*words, "--enforce-eager", "--block-size", str(_CPU_BLOCK)]
        return [*words, "--gpu-memory-utilization", str(self.memory)]

    def environment(self) -> dict[str, str]:
        """Return the environment variables, without this Python's path and a worker's place."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in _OWN and not name.startswith("TORCHELASTIC_")
        }
        if self.gpu is not None:
            return {**kept, **_QUIET, "CUDA_VISIBLE_DEVICES": str(self.gpu)}
        threads = {"OMP_NUM_THREADS": str(self.threads), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        return {"VLLM_CPU_KVCACHE_SPACE": "1", **kept, **_QUIET, **threads}

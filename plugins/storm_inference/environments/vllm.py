"""The environment of vLLM: its CPU build on machines without a GPU."""

from __future__ import annotations

from pathlib import Path

from storm_inference.environments.environment import Environment
from storm_models.devices import device_count

_REQUIREMENTS = Path(__file__).parent / "requirements"


def vllm() -> Environment:
    """Return the environment for this machine."""
    variant = "gpu" if device_count("auto") else "cpu"
    return Environment(
        name="vllm",
        variant=variant,
        purpose=f"vLLM, on {variant.upper()}s: judges, answers and evaluations",
        requirements=_REQUIREMENTS / f"vllm_{variant}.txt",
        imports=("vllm",),
        extra="vllm",
    )

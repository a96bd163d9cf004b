"""The environment of vLLM: its CPU build on machines without a GPU."""

from __future__ import annotations

from pathlib import Path

from storm_inference.environments.environment import Environment
from storm_models.devices import device_count

_REQUIREMENTS = Path(__file__).parent / "requirements"


def vllm() -> Environment:
    """Return the environment for this machine."""
    return _of("gpu" if device_count("auto") else "cpu")


def check_vllm() -> None:
    """Raise InputError if there is an environment neither for GPUs nor for CPUs.

    Unlike `vllm`, it does not import torch, which takes seconds, to look for a GPU.
    """
    environments = [_of("cpu"), _of("gpu")]
    if all(each.problem() for each in environments):
        begun = [each for each in environments if each.folder.is_dir()]
        (begun or environments)[0].python()


def _of(variant: str) -> Environment:
    return Environment(
        name="vllm",
        variant=variant,
        purpose=f"vLLM, on {variant.upper()}s: judges, answers and evaluations",
        requirements=_REQUIREMENTS / f"vllm_{variant}.txt",
        imports=("vllm",),
        extra="vllm",
    )

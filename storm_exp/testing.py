"""For the tests of people who build on the engine."""

from __future__ import annotations

from pathlib import Path

from storm_exp._contract.stage_context import Runtime, StageContext


def make_stage(folder: Path, name: str = "stage", threads: int = 1) -> StageContext:
    """Return a stage that fills `folder/name`, with scratch space beside it, outside any store."""
    directory, scratch = folder / name, folder / f"{name}-scratch"
    directory.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    return StageContext(name, directory, scratch, Runtime(device="cpu", threads=threads))

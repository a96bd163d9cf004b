"""For the tests of people who build on the engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_exp._contract.artifact import Artifact
from storm_exp._contract.component import describe, plan_spec
from storm_exp._contract.runtime import Runtime
from storm_exp._contract.stage_context import StageContext


def make_stage(folder: Path, name: str = "stage", threads: int = 1) -> StageContext:
    """Return a stage that fills `folder/name`, with scratch space beside it, outside any store."""
    directory, scratch = folder / name, folder / f"{name}-scratch"
    directory.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    return StageContext(name, directory, scratch, Runtime(device="cpu", threads=threads))


def run_component(settings: Any, stage: StageContext, *inputs: Any, **ports: Any) -> Artifact:
    """Run a component as the engine does: its `plan_spec` sees the specs of its inputs first.

    Inputs are given by the order of its ports, or by their names. Raises what either raises.
    """
    names = describe(type(settings)).ports
    given = {**dict(zip(names, inputs, strict=False)), **ports}
    given = {port: each for port, each in given.items() if each is not None}
    plan_spec(
        settings,
        {
            port: [one.spec() for one in each] if isinstance(each, list) else each.spec()
            for port, each in given.items()
        },
    )
    made = settings.run(stage, **given)
    assert isinstance(made, Artifact)
    return made

"""One component, planned and run without a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from storm_exp._contract.artifact import Artifact, Spec
from storm_exp._contract.component import describe, plan_spec
from storm_exp._contract.digest import FileDigests
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

    Inputs are given by the order of its ports, or by their names. Raises what either raises, and
    AssertionError where the artifact is not what was planned.
    """
    given = given_ports(settings, inputs, ports)
    planned = plan_spec(settings, specs_of(given))
    made: Artifact = settings.run(stage, **given)
    assert not (wrong := planned.contradictions(made.spec())), "; ".join(wrong)
    return made


def given_ports(settings: Any, inputs: tuple[Any, ...], ports: dict[str, Any]) -> dict[str, Any]:
    """Return what stands at each port; None is what is left out."""
    names = describe(type(settings)).ports
    given = {**dict(zip(names, inputs, strict=False)), **ports}
    return {port: each for port, each in given.items() if each is not None}


def specs_of(given: dict[str, Any]) -> dict[str, Spec | list[Spec]]:
    """Return the specs of what stands at each port."""
    return {
        port: [one.spec() for one in each] if isinstance(each, list) else each.spec()
        for port, each in given.items()
    }


def plan_component(settings: Any, specs: dict[str, Spec | list[Spec]], folder: Path) -> Spec:
    """Do what a plan does with a component: ask for its fingerprint and its spec.

    Raises what either raises.
    """
    fingerprint = getattr(settings, "fingerprint", None)
    if fingerprint is not None:
        fingerprint(FileDigests(folder / "digests.json"))
    return plan_spec(settings, specs)

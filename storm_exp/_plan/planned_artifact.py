"""Artifacts of a plan: their keys and inputs, and whether they are to be made."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from storm_exp._contract.artifact import Spec
from storm_exp._contract.component import Component, plan_spec
from storm_exp._contract.cost import Cost
from storm_exp._contract.errors import StormError, plugin_code
from storm_exp._store.manifest import Manifest

T = TypeVar("T")


class Status(enum.Enum):
    """Whether a run will make an artifact."""

    KEPT = "kept"
    TO_MAKE = "to make"
    NOT_NEEDED = "not needed"


@dataclasses.dataclass(eq=False)
class PlannedArtifact:
    """Artifact of a plan, shared by all cells of a sweep in which it has the same key."""

    key: str
    label: str
    """Stage and element in the first cell that has it, such as `evaluator[merger]`."""
    component: Component
    settings: Any
    fingerprint: Any
    inputs: dict[str, list[PlannedArtifact]]
    manifest: Manifest | None
    damage: str
    spec: Spec
    status: Status = Status.NOT_NEEDED
    reads: dict[str, str] = dataclasses.field(default_factory=dict)
    """{path: digest} of the files that its fingerprint depends on."""
    refused: bool = False
    """Whether its `plan_spec` refused the actual specs of its inputs."""
    evicted: Manifest | None = None
    """Manifest of the artifact if its payload was evicted."""
    locate: Callable[[StormError], str] = str
    """Function that returns an error's message with the stage and provenance of settings."""

    def __post_init__(self) -> None:
        inputs = (node.level for nodes in self.inputs.values() for node in nodes)
        self.level: int = 1 + max(inputs, default=-1)
        """Length of the longest path to it from a node without inputs."""
        self.title = self.label
        """Its label; in a run, with settings of its cells where several nodes have this label."""

    @property
    def stage(self) -> str:
        """Stage in the first cell that has it."""
        return self.label.partition("[")[0]

    def by_port(self, read: Callable[[PlannedArtifact], T]) -> dict[str, T | list[T]]:
        """Return what `read` gives of the inputs, by port: a list for ports that collect."""
        ports = self.component.ports
        return {
            port: [*map(read, nodes)] if ports[port].many else read(nodes[0])
            for port, nodes in self.inputs.items()
        }

    def input_keys(self) -> dict[str, str | list[str]]:
        """Return the input keys by port."""
        return self.by_port(lambda node: node.key)

    def input_specs(self) -> dict[str, Spec | list[Spec]]:
        """Return the input specs by port."""
        return self.by_port(lambda node: node.spec)

    def current_spec(self) -> Spec:
        """Return the spec in its manifest, or the one planned from its inputs' specs."""
        if self.manifest is not None:
            return self.component.output.spec_type.from_json(self.manifest.spec)
        return plan_spec(self.settings, self.input_specs())

    def cost(self, **surroundings: Any) -> Cost | None:
        """Return the cost of making it, None if its component has no `cost`.

        The component's `cost` gets those arguments that it names: `spec` (of the artifact), the
        specs of its inputs by port, and `surroundings`.
        """
        compute: Any = getattr(self.settings, "cost", None)
        if compute is None:
            return None
        given = {**surroundings, "spec": self.spec, **self.input_specs()}
        wanted = inspect.signature(compute).parameters
        with plugin_code(f"{self.label}: the component '{self.component.name}' (cost)"):
            cost = compute(**{name: value for name, value in given.items() if name in wanted})
            if not (cost is None or isinstance(cost, Cost)):
                raise TypeError(f"{cost!r:.100} is no Cost")
        return cost

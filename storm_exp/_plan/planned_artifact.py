"""One artifact of a plan: what it is made of, and what a run will do about it."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable
from typing import Any

from storm_exp._contract.artifact import Spec
from storm_exp._contract.component import Component, plan_spec
from storm_exp._contract.cost import Cost
from storm_exp._contract.errors import StormError, strangers_code
from storm_exp._store.manifest import Manifest


class Status(enum.Enum):
    """What a run will do about an artifact."""

    KEPT = "kept"
    TO_MAKE = "to make"
    NOT_NEEDED = "not needed"


@dataclasses.dataclass(eq=False)
class PlannedArtifact:
    """One artifact of a plan. Cells of a sweep whose keys agree share the node."""

    key: str
    label: str
    """The stage and element under which it was first met, such as `evaluator[merger]`."""
    component: Component
    settings: Any
    fingerprint: Any
    inputs: dict[str, list[PlannedArtifact]]
    manifest: Manifest | None
    damage: str
    spec: Spec
    status: Status = Status.NOT_NEEDED
    reads: dict[str, str] = dataclasses.field(default_factory=dict)
    """{path: digest} of the files that its fingerprint asked for."""
    refused: bool = False
    """Whether its forecast was refused once the facts of its inputs were known."""
    locate: Callable[[StormError], str] = str
    """Says of an error in which stage it is, and where the setting at fault came from."""

    def __post_init__(self) -> None:
        inputs = (node.level for nodes in self.inputs.values() for node in nodes)
        self.level: int = 1 + max(inputs, default=-1)
        """The length of the longest way here from a node without inputs."""

    @property
    def stage(self) -> str:
        """The stage under which it was first met."""
        return self.label.partition("[")[0]

    def input_keys(self) -> dict[str, str | list[str]]:
        """Return the keys at each port, a list for ports that collect."""
        ports = self.component.ports
        return {
            port: [node.key for node in nodes] if ports[port].many else nodes[0].key
            for port, nodes in self.inputs.items()
        }

    def input_specs(self) -> dict[str, Spec | list[Spec]]:
        """Return the forecasts at each port, a list for ports that collect."""
        ports = self.component.ports
        return {
            port: [n.spec for n in nodes] if ports[port].many else nodes[0].spec
            for port, nodes in self.inputs.items()
        }

    def current_spec(self) -> Spec:
        """Return what it is, from its manifest, or what it will be of its inputs' specs."""
        if self.manifest is not None:
            return self.component.output.spec_type.from_json(self.manifest.spec)
        return plan_spec(self.settings, self.input_specs())

    def cost(self, **surroundings: Any) -> Cost | None:
        """Return what making it takes, None where its component does not say.

        A component's `cost` takes `spec` (of the artifact), the specs of its inputs and what else
        whoever asks tells it of the surroundings: those that it names.
        """
        compute: Any = getattr(self.settings, "cost", None)
        if compute is None:
            return None
        given = {**surroundings, "spec": self.spec, **self.input_specs()}
        wanted = inspect.signature(compute).parameters
        with strangers_code(f"{self.label}: the component '{self.component.name}' (cost)"):
            cost = compute(**{name: value for name, value in given.items() if name in wanted})
            if not (cost is None or isinstance(cost, Cost)):
                raise TypeError(f"{cost!r:.100} is no Cost")
        return cost

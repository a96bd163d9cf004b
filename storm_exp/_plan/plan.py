"""Plans: the artifacts of one or more recipes with keys and specs, and which are to be made."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from storm_exp._compose.graph import Stage, leave_idle_ports
from storm_exp._compose.recipe import Recipe
from storm_exp._contract.artifact import Spec
from storm_exp._contract.digest import NotedDigests
from storm_exp._contract.errors import (
    GraphError,
    PlanError,
    StageError,
    StormError,
    plugin_code,
)
from storm_exp._contract.setting_values import all_settings, semantic_settings
from storm_exp._plan.cells import fewest_settings, varying_settings
from storm_exp._plan.key import artifact_key
from storm_exp._plan.planned_artifact import PlannedArtifact, Status
from storm_exp._store.store import Store


@dataclasses.dataclass
class Cell:
    """Recipe of a plan, with the nodes of each stage."""

    name: str
    recipe: Recipe
    overrides: list[str]
    placed: dict[str, dict[str, PlannedArtifact]] = dataclasses.field(default_factory=dict)
    """{stage: {element: node}}; a stage that does not map has the single element ''."""

    def nodes(self) -> list[PlannedArtifact]:
        """Return all nodes in the order of the graph, without duplicates."""
        unique = {n.key: n for elements in self.placed.values() for n in elements.values()}
        return list(unique.values())

    def needed(self) -> list[PlannedArtifact]:
        """Return the nodes that are kept or to be made."""
        return [node for node in self.nodes() if node.status is not Status.NOT_NEEDED]


class Plan:
    """Everything that a run will do, determined before it starts."""

    def __init__(self, store: Store, rehearsed_in: str = "") -> None:
        """Create an empty plan, to which `add` adds recipes.

        `rehearsed_in`, a digest of the environment, marks the plan of a rehearsal.
        """
        self.store = store
        self.rehearsed_in = rehearsed_in
        self.on_twins = False
        """Whether a rehearsal replaces any component of the recipe."""
        self.cells: list[Cell] = []
        self.nodes: dict[str, PlannedArtifact] = {}
        """Nodes by key, inputs first."""
        self._met: dict[Any, tuple[Any, PlannedArtifact]] = {}
        """Nodes by the ids of settings and inputs; settings are kept so that no id is reused."""
        self._fingerprints: dict[str, tuple[Any, dict[str, str]]] = {}

    def add(
        self,
        name: str,
        recipe: Recipe,
        overrides: list[str],
        prepare: Callable[[Stage, Cell], None] | None = None,
    ) -> Cell:
        """Add a recipe: compute keys and specs, and determine what is to be made.

        `prepare` may change a stage after its inputs have been added. Raises GraphError, or
        PlanError if a stage's `plan_spec` refuses; the message names the stage, the setting and
        its provenance.
        """
        cell = Cell(name, recipe, overrides)
        for stage in recipe.stages.values():
            if prepare is not None:
                prepare(stage, cell)
                leave_idle_ports(stage)
            cell.placed[stage.name] = self._place(stage, cell)
        self.cells.append(cell)
        for target in recipe.targets:
            for node in cell.placed[target].values():
                self._need(node)
        return cell

    @property
    def scale(self) -> str:
        """Scale of the plan: miniature, own model, full size.

        This is the attribute `scale` of the first component whose class has one.
        """
        if self.rehearsed_in:
            return "rehearsal on twins" if self.on_twins else "rehearsal"
        uses = self.cells[0].recipe.stages.values()
        return next((str(use.settings.scale) for use in uses if hasattr(use.settings, "scale")), "")

    def labels(self) -> dict[str, str]:
        """Return the label of each key, with as few settings as tell nodes of equal labels apart.

        Earlier settings are preferred: what an arm of an ablation sets comes after its name.
        """
        alike: dict[str, dict[str, dict[str, str]]] = {}
        settings = varying_settings([cell.overrides for cell in self.cells])
        for cell, values in zip(self.cells, settings, strict=True):
            for node in cell.nodes():
                found = alike.setdefault(node.label, {})
                own = found.get(node.key, values)
                found[node.key] = {k: v for k, v in own.items() if v and values[k] == v}
        return {
            key: " · ".join([label, *(f"{name}={value}" for name, value in own.items())])
            for label, found in alike.items()
            for key, own in zip(found, fewest_settings(list(found.values())), strict=True)
        }

    def check_kept(self) -> None:
        """Raise PlanError if an artifact that is kept was evicted after the plan was made."""
        for node in self.nodes.values():
            if node.status is Status.KEPT and self.store.find(node.key).manifest is None:
                raise PlanError(f"{node.label} was evicted a moment ago: run it again")

    def to_make(self) -> list[PlannedArtifact]:
        """Return the nodes that a run would make, ordered by level."""
        missing = [node for node in self.nodes.values() if node.status is Status.TO_MAKE]
        return sorted(missing, key=lambda node: node.level)

    def learn(self, made: PlannedArtifact) -> list[tuple[PlannedArtifact, StageError]]:
        """Update the specs of nodes that depend on an artifact that was made.

        Returns the nodes whose `plan_spec` refuses the actual specs, so that they can be reported
        before other stages run.
        """
        made.spec = self._current_spec(made)
        refused: list[tuple[PlannedArtifact, StageError]] = []
        waiting = set(self._needed_by.get(made, ()))
        while waiting:
            node = min(waiting, key=lambda node: node.level)
            waiting.remove(node)
            if node.manifest is not None or node.status is not Status.TO_MAKE or node.refused:
                continue
            try:
                spec = self._current_spec(node)
            except StormError as error:
                node.refused = True
                text = f"{node.locate(error)}, as {made.label} turned out"
                refused.append((node, StageError(text)))
                continue
            if spec != node.spec:
                node.spec = spec
                waiting |= self._needed_by.get(node, set())
        return refused

    @functools.cached_property
    def _needed_by(self) -> dict[PlannedArtifact, set[PlannedArtifact]]:
        """Nodes that have each node as an input, once the plan is complete."""
        needed_by: dict[PlannedArtifact, set[PlannedArtifact]] = {}
        for node in self.nodes.values():
            for nodes in node.inputs.values():
                for needed in nodes:
                    needed_by.setdefault(needed, set()).add(node)
        return needed_by

    def _need(self, node: PlannedArtifact) -> None:
        if node.status is not Status.NOT_NEEDED:
            return
        node.status = Status.TO_MAKE
        for inputs in node.inputs.values():
            for needed in inputs:
                self._need(needed)

    def _place(self, stage: Stage, cell: Cell) -> dict[str, PlannedArtifact]:
        single: dict[str, list[PlannedArtifact]] = {}
        mapped: dict[str, dict[str, PlannedArtifact]] = {}
        for port, sources in stage.edges.items():
            maps = port in stage.lists or any("" not in cell.placed[s] for s in sources)
            if stage.component.ports[port].many or not maps:
                single[port] = [n for source in sources for n in cell.placed[source].values()]
                continue
            mapped[port] = {
                source
                if not element
                else (element if len(sources) == 1 else f"{source}.{element}"): node
                for source in sources
                for element, node in cell.placed[source].items()
            }
        elements = {tuple(found) for found in mapped.values()}
        if len(elements) > 1:
            raise GraphError(
                f"graph.{stage.name}: the ports {', '.join(mapped)} map over different stages; "
                "give all but one a single stage"
            )
        if not mapped:
            return {"": self._node(stage, "", single, cell)}
        return {
            element: self._node(
                stage, element, single | {p: [found[element]] for p, found in mapped.items()}, cell
            )
            for element in elements.pop()
        }

    def _node(
        self, stage: Stage, element: str, inputs: dict[str, list[PlannedArtifact]], cell: Cell
    ) -> PlannedArtifact:
        label = f"{stage.name}[{element}]" if element else stage.name
        ports = {port: inputs[port] for port in sorted(inputs)}
        # The cells of a sweep share what they agree on.
        same = id(stage.settings), *((port, *map(id, nodes)) for port, nodes in ports.items())
        if same in self._met:
            return self._met[same][1]
        settings = semantic_settings(stage.settings)
        try:
            fingerprint, reads = self._fingerprint(stage)
            node = PlannedArtifact(
                "", label, stage.component, stage.settings, fingerprint, ports, None, "", Spec()
            )
            node.reads = reads
            node.locate = functools.partial(
                cell.recipe.origins.locate,
                stage=stage.name,
                label=label,
                settings=stage.settings,
            )
            node.key = artifact_key(
                stage.component, settings, node.input_keys(), fingerprint, self.rehearsed_in
            )
            node = self.nodes.get(node.key, node)
            self._met[same] = stage.settings, node
            if node.key in self.nodes:
                return node
            found = self.store.find(node.key)
            node.manifest, node.damage, node.evicted = found.manifest, found.damage, found.evicted
            node.spec = self._current_spec(node)
        except StormError as error:
            message = cell.recipe.origins.locate(error, stage.name, label, stage.settings)
            raise PlanError(message) from error
        self.nodes[node.key] = node
        if node.manifest is not None:
            node.status = Status.KEPT
        return node

    def _current_spec(self, node: PlannedArtifact) -> Spec:
        """Return a node's spec, which learns where the files of a kept artifact are."""
        spec = node.current_spec()
        if node.manifest is not None:
            spec.note_files(node.manifest.payload(self.store.place(node.key)))
        return spec

    def _fingerprint(self, stage: Stage) -> tuple[Any, dict[str, str]]:
        """Return a stage's fingerprint and the digests of the files that it depends on."""
        compute = getattr(stage.settings, "fingerprint", None)
        if compute is None:
            return None, {}
        # All settings count here: a path may be in no key, but determines the fingerprint.
        known = f"{stage.component.name} {all_settings(stage.settings)}"
        if known not in self._fingerprints:
            digests = NotedDigests(self.store.digests)
            with plugin_code(f"the component '{stage.component.name}' (fingerprint)"):
                self._fingerprints[known] = compute(digests), digests.asked
        return self._fingerprints[known]

"""Check that the tasks of `benchmarks` will have scores of the exported model."""

from __future__ import annotations

from storm_exp import Plan, PlanError, PlannedArtifact, SettingError, did_you_mean
from storm_export.hub.exporter import HubFolderExporter


def check_benchmarks(plan: Plan) -> None:
    """Raise PlanError for a benchmark's task that no connected evaluation asks the model."""
    for node in plan.to_make():
        if isinstance(node.settings, HubFolderExporter):
            _check(node, node.settings.benchmarks)


def _check(node: PlannedArtifact, benchmarks: dict[str, str]) -> None:
    model = node.inputs["model"]
    asked = [
        getattr(evaluation.spec, "tasks", None)
        for evaluation in node.inputs.get("evaluations", [])
        if evaluation.inputs.get("model") == model
    ]
    known = [task for tasks in asked for task in tasks or []]
    if None in asked:  # an evaluation whose tasks are not known before it is made
        return
    for task, benchmark in benchmarks.items():
        if task not in known:
            problem = f"no connected evaluation of {model[0].label} asks this task"
            problem += f" (graph.{node.stage}.evaluations){did_you_mean(task, known)}"
            raise PlanError(node.locate(SettingError(f"benchmarks.{task}", benchmark, problem)))

"""The component `hub_folder`: a model as a repository for the hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storm_exp import Artifact, Cost, SettingError, StageContext, component, did_you_mean, setting
from storm_export.hard_link import hard_link
from storm_export.hub.generation import check_generation, shown_generation
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.folder.generation_config import read_generation_config, write_generation_config

LOCK = "recipe.lock.json"


class HubFolder(Checkpoint):
    """A checkpoint with README.md, recipe.lock.json and .eval_results for the hub."""

    shown_as = "for the hub"


@component(
    "exporter", "hub_folder", version=3, requires=("torch", "huggingface_hub"), extra="train"
)
class HubFolderExporter:
    """Collects weights, tokenizer, chat template and a model card of how the model was made.

    The card is written from the store: components, settings, keys and digests of every step, and
    the scores of connected evaluations. Weights are hard links, not copies.
    """

    swept = False

    title: str = "model"
    """The card's heading."""
    license: str = ""
    """The hub's identifier of the licence, such as apache-2.0 or llama3.1."""
    language: list[str] = setting([])
    """Codes of languages, such as en."""
    tags: list[str] = setting([])
    """Further tags of the repository."""
    generation: dict[str, Any] = setting({})
    """Values that override those of generation_config.json: temperature, top_k, top_p."""
    benchmarks: dict[str, str] = setting({})
    """{task: owner/data set, or owner/data set:task} of scores for the hub's leaderboards."""

    def __post_init__(self) -> None:
        """Check benchmarks and generation settings; raises SettingError."""
        check_generation(self.generation)
        for task, benchmark in self.benchmarks.items():
            if benchmark.partition(":")[0].count("/") != 1:
                problem = "should be a data set of the hub: owner/name, or owner/name:task"
                raise SettingError(f"benchmarks.{task}", benchmark, problem)

    def plan_spec(self, model: CheckpointSpec) -> CheckpointSpec:
        """Return the model's spec, unchanged."""
        return model

    def cost(self) -> Cost:
        """Return no disk space: weights are linked."""
        return Cost(disk=0, on_host=True)

    def run(
        self, stage: StageContext, model: Checkpoint, evaluations: list[Artifact] | None = None
    ) -> HubFolder:
        """Write the folder; the scores of `evaluations` go into the card."""
        from storm_export.hub.card import UNRECORDED, body, front_matter
        from storm_export.hub.history import History
        from storm_export.hub.scores import read_scores

        written = model.materialise(stage)
        for name in written.files():
            hard_link(written.directory / name, stage.directory / name)
        generation = {**(read_generation_config(model.directory) or {}), **self.generation}
        if self.generation:
            (stage.directory / "generation_config.json").unlink(missing_ok=True)
            write_generation_config(stage.directory, generation)
        history, evaluated = History.of(model), read_scores(evaluations or [])
        own = [score for each in evaluated if each.model == model.key for score in each.scores]
        self._check_scored([score.task for score in own])
        stated = {"license": self.license, "language": self.language, "tags": self.tags}
        if history.unrecorded() == list(history.steps[-1:]):
            stage.say(f"the model card cannot tell how the model was made: it is {UNRECORDED}")
        shown = shown_generation(generation)
        card = front_matter(self.title, history, own, stated)
        card += "\n" + body(self.title, history, evaluated, model.key, shown)
        (stage.directory / "README.md").write_text(card, encoding="utf-8")
        text = json.dumps({"model": model.key, "steps": history.lock()}, indent=1, sort_keys=True)
        (stage.directory / LOCK).write_text(text + "\n", encoding="utf-8")
        self._write_results(stage.directory, own)
        stage.metric("scores", len(own))
        return HubFolder(stage.directory)

    def _check_scored(self, tasks: Sequence[str]) -> None:
        """Raise SettingError for a benchmark's task of which the model has no score."""
        for task, benchmark in self.benchmarks.items():
            if task not in tasks:
                problem = "no connected evaluation has a score of this task for the model"
                problem += did_you_mean(task, tasks)
                raise SettingError(f"benchmarks.{task}", benchmark, problem)

    def _write_results(self, directory: Path, own: Sequence[Any]) -> None:
        """Write a file for each scored task of `benchmarks`."""
        import yaml
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

        for score in own:
            if score.task not in self.benchmarks:
                continue
            dataset, _, task = self.benchmarks[score.task].partition(":")
            entry = EvalResultEntry(
                dataset_id=dataset,
                task_id=task or "default",
                value=score.value,
                notes=score.metric,
            )
            folder = directory / ".eval_results"
            folder.mkdir(exist_ok=True)
            text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
            file = f"{score.task.replace('/', '_')}.yaml"
            (folder / file).write_text(text, encoding="utf-8")

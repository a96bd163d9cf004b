"""The model card: metadata for the hub, and text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storm_export.hub.escaping import escape, table
from storm_export.hub.history import History, input_keys
from storm_export.hub.scores import Evaluated, Score
from storm_models.trainable_settings import read_settings

UNRECORDED = "a folder outside a store of storm-exp, so how it was made is not recorded"
_SHOWN_DIGITS = 12


def front_matter(
    name: str, history: History, own: Sequence[Score], stated: Mapping[str, Any]
) -> str:
    """Return the card's metadata as YAML; `stated` holds license, language and tags.

    Raises what huggingface_hub raises for values that the hub does not accept.
    """
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=score.task,
            dataset_name=score.task,
            metric_type=score.metric,
            metric_value=score.value,
            metric_name=f"{score.metric} ({score.documents} documents)",
        )
        for score in own
    ]
    relation = history.relation()
    further: dict[str, Any] = {key: value for key, value in stated.items() if value}
    if relation:
        further["base_model_relation"] = relation
    data = ModelCardData(
        model_name=name,
        base_model=history.base_models() or None,
        datasets=history.datasets() or None,
        eval_results=results or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        **further,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def body(
    name: str,
    history: History,
    evaluated: Sequence[Evaluated],
    key: str,
    generation: Mapping[str, Any],
) -> str:
    """Return the card's text in Markdown; text from settings and data is escaped."""
    parts = [f"# {escape(name)}", "Made with [storm-exp](https://pypi.org/project/storm-exp/)."]
    if evaluated:
        parts += ["## Scores", _scores(evaluated, key)]
        parts.append(
            "In parentheses: intervals of 95 % over the documents of a task; for shares of right "
            "answers, Wilson's."
        )
    if history.steps:
        parts += ["## How it was made", _steps(history)]
        parts.append("`recipe.lock.json` has the settings of every step.")
    if history.trained():
        parts += ["## What was trained", "\n".join(map(_trained, history.trained()))]
    repositories = [step for step in history.sources() if step.settings.get("repo")]
    unknown = [f"`{step.key[:_SHOWN_DIGITS]}`" for step in history.unrecorded()]
    if not history.steps:
        unknown = ["the model"]
    if repositories or unknown:
        lines = [f"- {escape(s.settings['repo'])} ({escape(s.artifact)})" for s in repositories]
        lines += [f"- {each}: {UNRECORDED}" for each in unknown]
        parts += ["## Where it comes from", "\n".join(lines)]
    if generation:
        parts += ["## Generation settings", _settings(generation)]
    return "\n\n".join(parts) + "\n"


def _scores(evaluated: Sequence[Evaluated], key: str) -> str:
    tasks = list(dict.fromkeys(score.task for each in evaluated for score in each.scores))
    header = ["task"]
    for each in evaluated:
        label = f"{escape(each.name)} `{each.model[:_SHOWN_DIGITS]}`"
        header.append(f"**{label}**" if each.model == key else label)
    rows = []
    for task in tasks:
        by_model = [{s.task: s for s in each.scores}.get(task) for each in evaluated]
        rows.append([escape(task), *("" if s is None else s.shown() for s in by_model)])
    return table(header, rows)


def _steps(history: History) -> str:
    rows = []
    for step in history.steps:
        keys = input_keys(step)
        rows.append(
            [
                escape(step.component),
                escape(step.artifact),
                f"`{step.key[:_SHOWN_DIGITS]}`",
                ", ".join(f"`{each[:_SHOWN_DIGITS]}`" for each in keys),
                f"`{step.digest()[:_SHOWN_DIGITS]}`",
            ]
        )
    return table(["component", "artifact", "key", "inputs", "digest of the files"], rows)


def _trained(step: Any) -> str:
    what = _settings(read_settings(step.settings["trainable"]))
    return f"- {escape(step.component)} `{step.key[:_SHOWN_DIGITS]}`: {what}"


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{escape(name)} {escape(value)}" for name, value in values.items())

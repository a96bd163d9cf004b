"""The model card: metadata for the hub, and text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storm_export.hub.escaping import escape, table
from storm_export.hub.history import History, input_keys
from storm_export.hub.scores import Evaluated, Score

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
        parts.append("± is the half width of an interval of 95 % over the documents of a task.")
    if history.steps:
        parts += ["## How it was made", _steps(history)]
        parts.append("`recipe.lock.json` has the settings of every step.")
    if history.trained():
        parts += ["## What was trained", *map(_trained, history.trained())]
    sources = [step for step in history.sources() if step.settings.get("repo")]
    if sources:
        parts.append("## Where it comes from")
        parts += [f"- {escape(s.settings['repo'])} ({escape(s.artifact)})" for s in sources]
    if generation:
        shown = ", ".join(f"{escape(k)} {escape(v)}" for k, v in generation.items())
        parts += ["## Generation settings", shown]
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
    trainable = step.settings["trainable"]
    what = ", ".join(f"{escape(k)} {escape(v)}" for k, v in trainable.items() if v is not None)
    return f"- {escape(step.component)} `{step.key[:_SHOWN_DIGITS]}`: {what}"

"""Checks of an evaluation's tasks before any model is loaded."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from storm_evaluation.tasks.packages import needs
from storm_evaluation.tasks.settings import TaskSettings
from storm_evaluation.tasks.tree import Leaf
from storm_evaluation.tasks.yaml_file import NamedFunction
from storm_exp import InputError, SettingError, install_command

_HARNESS_ANSWER = 256
"""The harness's most tokens of an answer, where neither task nor setting states them."""


def check_tasks(tasks: dict[str, tuple[Leaf, TaskSettings]]) -> None:
    """Raise SettingError or InputError for a task that cannot be scored with its settings."""
    metrics: dict[str, tuple[str, str]] = {}
    for leaf, settings in tasks.values():
        _check_packages(leaf)
        _check_shots(leaf, settings)
        metric = _check_metric(leaf, settings)
        first = metrics.setdefault(leaf.asked, (metric, leaf.name))
        if metric and first[0] and first[0] != metric:
            raise SettingError(
                "by_task.metric",
                leaf.asked,
                f"its task {first[1]} is scored by {first[0]} and {leaf.name} by {metric}; set "
                f"one metric for '{leaf.asked}'",
            )


def check_lengths(tasks: dict[str, tuple[Leaf, TaskSettings]], window: int | None) -> None:
    """Raise SettingError where answers leave no room for a question in `window` tokens."""
    for leaf, settings in tasks.values():
        if window is None or leaf.config.get("output_type") != "generate_until":
            continue
        stated = (leaf.config.get("generation_kwargs") or {}).get("max_gen_toks")
        answer = settings.max_new_tokens or stated or min(_HARNESS_ANSWER, window // 2)
        if isinstance(answer, int) and answer >= window:
            raise SettingError(
                f"by_task.max_new_tokens.{leaf.asked}",
                answer,
                f"the task {leaf.name} allows answers of {answer} tokens, but prompt and answer "
                f"together can have {window}; allow fewer",
            )


def resources(tasks: dict[str, tuple[Leaf, TaskSettings]]) -> list[str]:
    """Return the nltk resources that the tasks need and that are not on this machine."""
    return needs(f for leaf, _ in tasks.values() for f in leaf.functions()).to_fetch()


def _check_packages(leaf: Leaf) -> None:
    problems = needs(leaf.functions()).problems()
    if problems:
        raise SettingError(
            "tasks",
            leaf.asked,
            f"the task {leaf.name} cannot run here: {'; '.join(problems)}. The packages of "
            f"IFEval and MATH come with {install_command('evaluate')}; others have to be "
            "installed by name",
        )
    if leaf.config.get("unsafe_code"):
        raise SettingError(
            "tasks", leaf.asked, f"the task {leaf.name} runs a model's code, which is refused"
        )


def _check_shots(leaf: Leaf, settings: TaskSettings) -> None:
    """Refuse examples for a task whose YAML sets none: the harness would ignore them."""
    if settings.num_fewshot and leaf.own_shots() == 0 and settings.shots_by_task:
        raise SettingError(
            f"by_task.num_fewshot.{leaf.asked}",
            settings.num_fewshot,
            f"the task {leaf.name} has its examples in its prompt (num_fewshot: 0 in its YAML), "
            "and lm-evaluation-harness adds no others",
        )


def _check_metric(leaf: Leaf, settings: TaskSettings) -> str:
    """Return the metric that a task is scored by, empty where only running it shows that."""
    listed = leaf.config.get("metric_list")
    entries: dict[str, Any] = {
        str(entry.get("metric")): entry
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict)
    }
    if not entries:
        return settings.metric or ""
    metric = settings.metric or next(iter(entries))
    name = f"by_task.metric.{leaf.asked}"
    if metric not in entries:
        raise SettingError(
            name, metric, f"task {leaf.name} has no metric '{metric}' (has {list(entries)})"
        )
    aggregation = entries[metric].get("aggregation", "mean")
    if isinstance(aggregation, NamedFunction) or aggregation not in ("mean", "nanmean"):
        raise SettingError(
            name,
            metric,
            f"task {leaf.name}: '{metric}' is not a mean over documents; set another of "
            f"{list(entries)}",
        )
    if metric == "exact_match_original" and not _antlr().startswith("4.11"):
        # The task's code counts the ImportError of sympy's parser as a wrong answer.
        raise InputError(
            f"task {leaf.name}: 'exact_match_original' would count right answers as wrong, since "
            f"sympy reads LaTeX with antlr4-python3-runtime 4.11 only and {_antlr()} is installed "
            "(omegaconf needs 4.9); set 'exact_match', which math-verify computes"
        )
    return metric


def _antlr() -> str:
    try:
        return importlib.metadata.version("antlr4-python3-runtime")
    except importlib.metadata.PackageNotFoundError:
        return "none"

"""Inference: scoring and generation for other plugins, and a component that answers data sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from storm_exp import Plan, hookimpl

if TYPE_CHECKING:
    from storm_inference.environments.environment import Environment

storm_api = ">=1,<2"


@hookimpl
def storm_components() -> list[type]:
    """Return the generator of answers."""
    from storm_inference.answers import Answers

    return [Answers]


@hookimpl
def storm_requires() -> tuple[tuple[str, ...], str]:
    """Return the packages that components need, and the extra that installs them."""
    return ("torch", "transformers"), "train"


@hookimpl
def storm_sections() -> dict[str, type]:
    """Return the section `inference`, the defaults of which engine is used and how."""
    from storm_inference.engines.settings import InferenceSection

    return {"inference": InferenceSection}


@hookimpl
def storm_verbs() -> dict[str, Callable[[list[str]], int]]:
    """Return the verbs that manage environments and use models."""
    from storm_inference.chat.verb import chat
    from storm_inference.environments.verb import env
    from storm_inference.serve.verb import serve

    return {"chat": chat, "env": env, "serve": serve}


@hookimpl
def storm_environments() -> list[Environment]:
    """Return the environments of vLLM and llama.cpp."""
    from storm_inference.environments.llama_cpp import llama_cpp
    from storm_inference.environments.vllm import vllm

    return [vllm(), llama_cpp()]


@hookimpl
def storm_check_machine(plan: Plan) -> None:
    """Refuse a plan that needs an environment or a key which is missing."""
    from storm_inference.engines.api_key import check_keys
    from storm_inference.environments.needed import check_environments

    check_environments(plan)
    check_keys(plan)


@hookimpl
def storm_check_plan(plan: Plan) -> None:
    """Refuse ports of servers that do not exist."""
    from storm_inference.servers.port import check_ports

    check_ports(plan)


@hookimpl
def storm_plan_notices(plan: Plan) -> list[str]:
    """Return a line per engine other than transformers with the stages that use it.

    And one per environment and key that only another machine can have.
    """
    from storm_inference.engines.api_key import keys_elsewhere
    from storm_inference.engines.settings import TRANSFORMERS
    from storm_inference.environments.needed import environments_elsewhere

    stages_of: dict[str, dict[str, None]] = {}
    for node in plan.to_make():
        engine = getattr(node.settings, "engine", TRANSFORMERS)
        if engine != TRANSFORMERS:
            stages_of.setdefault(engine, {})[node.stage] = None
    lines = [f"inference by {engine}: {', '.join(stages)}" for engine, stages in stages_of.items()]
    return [*lines, *environments_elsewhere(plan), *keys_elsewhere(plan)]


@hookimpl
def storm_completions() -> dict[str, Callable[[list[str]], list[str]]]:
    """Return what a shell offers behind the verbs: models of the latest run, environments."""
    from storm_inference.targets.completions import behind_env, latest_models

    return {"chat": latest_models, "env": behind_env, "serve": latest_models}

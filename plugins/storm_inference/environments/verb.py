"""The verb `env`: lists and creates environments."""

from __future__ import annotations

from storm_exp import Answer, InputError, did_you_mean, from_plugins
from storm_inference.environments.building import create
from storm_inference.environments.environment import Environment, environments_folder

USAGE = "storm-exp env ls | env create NAME … [--json]"


def env(arguments: list[str]) -> int:
    """List the environments of engines, or create one.

    usage: storm-exp env ls | env create NAME … [--json]

    for example:
        storm-exp env ls
        storm-exp env create vllm
    """
    if [word for word in arguments if word != "--json"] in ([], ["ls"]):
        return _list().print(arguments)
    action, *names = [word for word in arguments if word != "--json"]
    if action != "create" or not names:
        raise InputError(f"env {' '.join(arguments)}: usage: {USAGE}")
    items, lines = [], []
    for name in names:
        environment = named(name)
        created, python = create(environment), str(environment.python())
        items.append({"name": name, "created": created, "python": python})
        lines.append(f"{name}: {'created' if created else 'exists'}: {python}")
    return Answer("env create", items, lines).print(arguments)


def named(name: str) -> Environment:
    """Return an environment by its name; raises InputError, with the nearest name, if unknown."""
    known = known_environments()
    if name not in known:
        raise InputError(f"no environment '{name}'{did_you_mean(name, known)}")
    return known[name]


def known_environments() -> dict[str, Environment]:
    """Return the environments of all plugins, by name."""
    known: dict[str, Environment] = {}
    for environment in from_plugins("storm_environments"):
        if environment.name in known:
            raise InputError(f"two plugins define an environment '{environment.name}'")
        known[environment.name] = environment
    return known


def _list() -> Answer:
    known = known_environments()
    items, lines = [], [f"in {environments_folder()}:"]
    width = max(map(len, known), default=0)
    for name, environment in known.items():
        problem = environment.problem()
        python = "" if problem else str(environment.python())
        state = f"{problem}: {environment.command}" if problem else python
        lines.append(f"  {name.ljust(width)}  {environment.purpose}; {state}")
        items.append(
            {"name": name, "purpose": environment.purpose, "problem": problem}
            | {"python": python, "create": environment.command}
        )
    return Answer("env ls", items, lines)

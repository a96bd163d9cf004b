"""The verbs of the command line besides running: plan, and those of plugins."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable

from storm_exp._contract.plugins import Verb, load_plugins
from storm_exp._run import application, show_plan
from storm_exp._run.answer import Answer
from storm_exp._run.run import Composition


def plan(arguments: list[str]) -> int:
    """Print what a run or a sweep would do.

    usage: storm-exp plan recipe=NAME [setting=value …] [-m] [--why] [--online] [--json]

    Nothing is made and nothing is loaded. --why says what differs from what the store has, --online
    asks the hub for what would be fetched, -m plans every combination of lists of values.

    for example:
        storm-exp plan recipe=storm merger.t=0.3 --why
        storm-exp plan -m recipe=storm merger.t=0.25,0.5,0.75
        storm-exp plan recipe=storm_8b runtime.accelerator=h100 runtime.devices=8
    """
    flags = ("--why", "--online", "--json")
    why, online = (flag in arguments for flag in flags[:2])
    codes = []

    def show(cells: list[Composition]) -> list[float | None]:
        codes.append(show_plan.show(cells, why=why, online=online).print(arguments))
        return [None] * len(cells)

    application.compose_and_act([word for word in arguments if word not in flags], show)
    return max(codes, default=0)


def verb_lines() -> list[str]:
    """Return a line of help for each verb: its name, and how its docstring begins."""
    return [
        f"    storm-exp {name:<10} {''.join((inspect.getdoc(verb) or '').splitlines()[:1])}"
        for name, verb in sorted((VERBS | load_plugins().verbs(VERBS)[0]).items())
    ]


def plugin_verbs() -> dict[str, Verb]:
    """Return the verbs of plugins; print which are left out, and why."""
    verbs, problems = load_plugins().verbs(VERBS)
    for problem in problems:
        print(problem, file=sys.stderr)
    actions = {name for plugin in load_plugins().plugins for name in plugin.actions}
    return {name: _acting(name, verb) if name in actions else verb for name, verb in verbs.items()}


def _acting(name: str, action: Callable[[list[Composition]], list[float | None] | Answer]) -> Verb:
    """Return the verb that composes recipes and applies an action to them.

    With `--json`, what the action prints goes to standard error, and its answer is printed.
    """

    def verb(arguments: list[str]) -> int:
        answers = [Answer(name)]

        def act(cells: list[Composition]) -> list[float | None]:
            found = action(cells)
            answers.append(found if isinstance(found, Answer) else Answer(name))
            return [None] * len(cells) if isinstance(found, Answer) else found

        words = [word for word in arguments if word != "--json"]
        with contextlib.redirect_stdout(sys.stdout if words == arguments else sys.stderr):
            application.compose_and_act(getattr(action, "words", list)(words), act)
        return answers[-1].print(arguments) if words != arguments else 0

    verb.__doc__ = action.__doc__
    return verb


VERBS: dict[str, Verb] = {"plan": plan}

"""The verbs of the command line besides running: plan, plugins, store, report."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import sys
import textwrap
import typing
from pathlib import Path
from typing import Any

from storm_exp._contract.bounds import Bounds, read_bounds
from storm_exp._contract.component import Component
from storm_exp._contract.docstrings import field_docstrings
from storm_exp._contract.errors import StormError, did_you_mean
from storm_exp._contract.plugins import Verb, load_plugins
from storm_exp._run import application, console, show_plan
from storm_exp._run.record import RunRecord
from storm_exp._run.report import write_report
from storm_exp._run.run import Action, Composition
from storm_exp._store.store import Store


def plan(arguments: list[str]) -> int:
    """Print what a run or a sweep would do."""
    flags = ("--why", "--online")
    why, online = (flag in arguments for flag in flags)

    def show(cells: list[Composition]) -> list[float | None]:
        show_plan.show(cells, why=why, online=online)
        return [None] * len(cells)

    application.compose_and_act([word for word in arguments if word not in flags], show)
    return 0


def plugins(arguments: list[str]) -> int:
    """List plugins and components, or describe the given components."""
    loaded = load_plugins()
    if arguments:
        for name in arguments:
            _describe(loaded.component(name))
        return 0
    for plugin in loaded.plugins:
        state = f"broken: {plugin.error}" if plugin.error else ", ".join(plugin.components)
        print(f"{plugin.name} ({plugin.distribution}): {state}")
    print()
    for menu, components in sorted(loaded.menus().items()):
        print(menu)
        for component in components:
            lacks = loaded.lacks(component)
            print(f"  {component}" + (f"  [unavailable: {lacks}]" if lacks else ""))
    print("\nstorm-exp plugins NAME describes a component's settings")
    return 0


def _describe(component: Component) -> None:
    print(f"{component}\n  menus: {', '.join(component.menus)}; version {component.version}")
    print(textwrap.indent(inspect.getdoc(component.cls) or "", "  "))
    _describe_fields(component.cls, "")


def _describe_fields(cls: Any, prefix: str) -> None:
    """Print the settings of a dataclass: its own before inherited ones, nested ones in place."""
    documented, hints = field_docstrings(cls), typing.get_type_hints(cls)
    for field in sorted(
        dataclasses.fields(cls), key=lambda field: field.name not in cls.__annotations__
    ):
        if dataclasses.is_dataclass(hints[field.name]):
            _describe_fields(hints[field.name], f"{prefix}{field.name}.")
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        note = _bounds_note(read_bounds(cls, field.name, hints[field.name]))
        note += "" if field.metadata.get("semantic", True) else "  (not part of the key)"
        kind = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
        shown = default.name if isinstance(default, enum.Enum) else repr(default)
        print(f"\n  {prefix}{field.name}: {kind} = {shown}{note}")
        if field.name in documented:
            print(textwrap.indent(documented[field.name], "      "))


def _bounds_note(bounds: Bounds | None) -> str:
    """Return, for example, `  (tokens, at least 1)`; empty for a field without bounds."""
    parts = [bounds.unit, str(bounds)] if bounds else []
    return f"  ({', '.join(filter(None, parts))})" if parts else ""


def store_verb(arguments: list[str]) -> int:
    """List, show or verify artifacts of the store at `store.path=DIR`."""
    words = [a for a in arguments if not a.startswith("store.path=")]
    paths = [a.partition("=")[2] for a in arguments if a.startswith("store.path=")]
    store = Store(Path(paths[-1] if paths else "outputs/store"))
    if not store.root.is_dir():
        raise StormError(f"there is no store at {store.root}; give one with store.path=DIR")
    store.check_format()
    actions = {"ls": _list, "show": _show, "verify": _verify}
    action = words[0] if words else "ls"
    if action not in actions:
        raise StormError(f"store {action}: no such action{did_you_mean(action, actions)}")
    return actions[action](store, words[1:])


def _list(store: Store, words: list[str]) -> int:
    rows = [["key", "component", "artifact", "megabytes", "made", "main metric"]]
    for manifest in sorted(store.manifests(), key=lambda m: str(m.made.get("when", ""))):
        own = manifest.files.keys() - manifest.adopted_mtimes.keys()
        size = f"{sum(manifest.files[name][0] for name in own) / 1e6:.1f}"
        metric = console.main_metric(manifest.metrics, manifest.main_metric)
        when = str(manifest.made.get("when", ""))[:16].replace("T", " ")
        names = [manifest.key[:12], manifest.component, manifest.artifact]
        rows.append([*names, size, when, metric])
    print("\n".join(console.align(rows)))
    return 0


def _show(store: Store, words: list[str]) -> int:
    if not words:
        raise StormError("store show KEY: give the first digits of a key (see store ls)")
    for prefix in words:
        key = store.resolve(prefix)
        manifest = store.find(key).manifest
        print(store.place(key))
        print(json.dumps(manifest.to_json() if manifest else store.find(key).damage, indent=1))
    return 0


def _verify(store: Store, words: list[str]) -> int:
    keys = [store.resolve(prefix) for prefix in words]
    strays = [] if keys else store.strays()
    keys = keys or store.keys()
    damaged = 0
    for key in keys:
        problem = store.verify(key)
        if problem:
            damaged += 1
            print(f"{key[:12]}  damaged: {problem}")
    for stray in strays:
        unfinished = " (unfinished, from a run in progress or a failed one)"
        print(f"{stray}: no artifact" + unfinished * stray.name.startswith(".partial-"))
    print(f"{len(keys)} artifacts, {damaged} damaged")
    return 1 if damaged else 0


def report(arguments: list[str]) -> int:
    """Write the report of a finished run again; by default, of the latest one."""
    record = RunRecord.read(Path(arguments[0] if arguments else "outputs/latest").resolve())
    print(write_report(record, load_plugins()) or "no plugin writes reports")
    return 0


def plugin_verb_lines() -> list[str]:
    """Return a line of help for each verb of a plugin: its name, and how its docstring begins."""
    return [
        f"       storm-exp {name:<36} {''.join((inspect.getdoc(verb) or '').splitlines()[:1])}"
        for name, verb in sorted(load_plugins().verbs(VERBS)[0].items())
    ]


def plugin_verbs() -> dict[str, Verb]:
    """Return the verbs of plugins; print which are left out, and why."""
    verbs, problems = load_plugins().verbs(VERBS)
    for problem in problems:
        print(problem, file=sys.stderr)
    actions = {name for plugin in load_plugins().plugins for name in plugin.actions}
    return {name: _acting(verb) if name in actions else verb for name, verb in verbs.items()}


def _acting(action: Action) -> Verb:
    """Return the verb that composes recipes and applies an action to them."""

    def verb(arguments: list[str]) -> int:
        application.compose_and_act(arguments, action)
        return 0

    return verb


VERBS: dict[str, Verb] = {
    "plan": plan,
    "plugins": plugins,
    "store": store_verb,
    "report": report,
}

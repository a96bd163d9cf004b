"""Pages of the Python interface: the public line, the hooks, and what plugins use of others."""

from __future__ import annotations

import ast
import functools
import importlib
from pathlib import Path

import storm_exp

Pages = dict[str, str]
"""reStructuredText by name, without ending."""

PUBLIC_LINE = ("storm_exp", "storm_exp.report", "storm_exp.testing")
HOOKS = ("_contract.plugin_hooks", "_plan.plan_hooks", "_run.run_hooks")
SHARED = ("storm_models", "storm_data", "storm_inference", "storm_report")
PLUGINS = Path(__file__).parents[2] / "plugins"


def api_pages() -> Pages:
    """Return the pages of the public line, of the hooks, and of each shared plugin."""
    pages = {f"api/{name}": _public(name) for name in PUBLIC_LINE}
    pages["api/hooks"] = _hooks()
    pages |= {f"api/{name}": _shared(name) for name in SHARED}
    about = f"""\
A plugin uses the public line, ``storm_exp``, ``storm_exp.report`` and ``storm_exp.testing``, whose
version is ``storm_exp.API_VERSION`` (it is {storm_exp.API_VERSION}), and answers hooks. It may use
the four plugins below that are shared by all; their names change more often."""
    return pages | {"api": _page("Python interface", about, _contents(list(pages)))}


def _contents(names: list[str]) -> str:
    return "\n".join([".. toctree::", "   :titlesonly:", "", *(f"   {name}" for name in names)])


def _public(module: str) -> str:
    return _page(module, _members(module))


def _hooks() -> str:
    about = "Functions that a plugin's module may define, each marked with ``@hookimpl``."
    return _page("Hooks", about, *(_functions(f"storm_exp.{name}") for name in HOOKS))


def _functions(module: str) -> str:
    found = importlib.import_module(module)
    names = [name for name in vars(found) if name.startswith("storm_")]
    return "\n\n".join(f".. autofunction:: {module}.{name}" for name in names)


def _shared(plugin: str) -> str:
    """Return what other plugins import of a plugin, module by module."""
    parts = [f".. automodule:: {plugin}\n   :no-index:", "What other plugins use of it:"]
    for module, names in sorted(names_used_of(plugin).items()):
        members = ", ".join(sorted(names))
        parts += [_title(module, "-"), _members(module, f" {members}")]
    return _page(plugin, *parts)


def _members(module: str, names: str = "") -> str:
    return f".. automodule:: {module}\n   :members:{names}\n   :undoc-members:"


def names_used_of(plugin: str) -> dict[str, set[str]]:
    """Return, by module, the public names that other built-in plugins import of a plugin."""
    used: dict[str, set[str]] = {}
    for owner, module, name in _imports():
        if owner != plugin and module.startswith(f"{plugin}."):
            used.setdefault(module, set()).add(name)
    return used


@functools.cache
def _imports() -> list[tuple[str, str, str]]:
    """Return what built-in plugins import: the plugin, a module and a name of it."""
    found = []
    for file in sorted(PLUGINS.rglob("*.py")):
        owner = file.relative_to(PLUGINS).parts[0]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found += [(owner, node.module, each.name) for each in node.names]
    return found


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([_title(title, "="), *parts]) + "\n"


def _title(title: str, line: str) -> str:
    return f"{title}\n{line * len(title)}"

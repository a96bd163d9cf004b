"""The version of what plugins use of the engine, and the versions that a plugin says it is for."""

from __future__ import annotations

import ast
from importlib.machinery import PathFinder
from importlib.util import find_spec

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from storm_exp._contract.errors import PluginError

API_VERSION = 1
"""Raised when a plugin that kept to the public line may have to change."""
STATEMENT = "storm_api"
"""The name in a plugin's module that holds the range of versions it is for: ">=1,<2"."""
_RANGE = f">={API_VERSION},<{API_VERSION + 1}"
_FORESEEN = 100


def check_api(module: str, distribution: str) -> None:
    """Raise PluginError for a plugin that is for other versions, or does not say for which.

    Its module is read before it is imported: what was written for another version may fail half
    way, and would tell of that instead.
    """
    tree = _read_module(module)
    if tree is None:
        return
    stated = _read_statement(tree)
    if stated is None or not stated.strip():  # which every version would satisfy
        raise PluginError(
            f"does not say for which versions of storm-exp's API it is: its author adds the line "
            f'{STATEMENT} = "{_RANGE}" to the module {module}'
        )
    try:
        versions = SpecifierSet(stated)
    except InvalidSpecifier as error:
        raise PluginError(
            f'{STATEMENT} = "{stated}" in {module} is no range of versions, such as "{_RANGE}"'
        ) from error
    if str(API_VERSION) in versions:
        return
    later = any(str(API_VERSION + more) in versions for more in range(1, _FORESEEN))
    newer, older = ("storm-exp", distribution) if later else (distribution, "storm-exp")
    raise PluginError(
        f"is for the versions {stated} of storm-exp's API, and this is {API_VERSION}: "
        f"pip install --upgrade {newer}, or install an older {older}"
    )


def _read_module(module: str) -> ast.Module | None:
    """Read a module that is not imported; None where its import will say what is wrong."""
    package, *inner = module.split(".")
    spec = find_spec(package)
    for name in inner:
        if spec is None:
            return None
        spec = PathFinder.find_spec(f"{spec.name}.{name}", spec.submodule_search_locations)
    read = getattr(spec and spec.loader, "get_source", None)
    try:
        return ast.parse(read(module) or "") if read is not None else None
    except (SyntaxError, ImportError):
        return None


def _read_statement(tree: ast.Module) -> str | None:
    """Return what a module says of versions; None where it says nothing."""
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text)))
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=str(text)))
            ) if name == STATEMENT:
                return text
    return None

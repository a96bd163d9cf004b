"""The packages and data that a task's Python code needs, determined without running it."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from storm_evaluation.tasks.index import harness_folder
from storm_evaluation.tasks.yaml_file import NamedFunction


@dataclasses.dataclass(frozen=True)
class Needs:
    """The requirements of a module when it is imported, with those of its imports."""

    packages: frozenset[str] = frozenset()
    """Top-level import names."""
    versions: frozenset[tuple[str, str]] = frozenset()
    """(distribution, prefix of its version) that the code asserts."""
    nltk_data: frozenset[str] = frozenset()
    """Arguments of nltk.data.find, such as tokenizers/punkt_tab."""

    def __or__(self, other: Needs) -> Needs:
        """Return the union of both."""
        return Needs(
            self.packages | other.packages,
            self.versions | other.versions,
            self.nltk_data | other.nltk_data,
        )

    def problems(self) -> list[str]:
        """Return a phrase for each requirement that this environment does not meet."""
        missing = [name for name in sorted(self.packages) if not _installed(name)]
        problems = [f"the package {name} is missing" for name in missing]
        for name, wanted in sorted(self.versions):
            try:
                version = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                problems.append(f"the package {name} {wanted} is missing")
                continue
            if not version.startswith(wanted):
                problems.append(f"its code needs {name} {wanted}, and {version} is installed")
        return problems

    def to_fetch(self) -> list[str]:
        """Return the resources of nltk that are not on this machine."""
        return sorted(name for name in self.nltk_data if not _in_nltk_data(name))


def needs(functions: Iterator[NamedFunction]) -> Needs:
    """Return the requirements of the functions' modules."""
    total = Needs()
    for function in set(functions):
        module = function.name.rpartition(".")[0]
        beside = function.folder / f"{module.replace('.', '/')}.py"
        file = beside if beside.is_file() else _harness_file(module)
        if file is not None:
            total |= _module_needs(file.resolve())
        elif not _installed(module.partition(".")[0]):
            total |= Needs(frozenset({module.partition(".")[0]}))
    return total


@functools.cache
def _module_needs(file: Path) -> Needs:
    return _needs(file, set())


def _needs(file: Path, seen: set[Path]) -> Needs:
    if file in seen:
        return Needs()
    seen.add(file)
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return Needs()
    total = Needs(versions=frozenset(_asserted(tree)), nltk_data=frozenset(_looked_up(tree)))
    for name in _imported(tree.body):
        top = name.lstrip(".").partition(".")[0]
        inner = _relative_file(name, file) if name.startswith(".") else _harness_file(name)
        if inner is not None:
            total |= _needs(inner.resolve(), seen)
        elif not name.startswith(".") and top not in sys.stdlib_module_names:
            total |= Needs(frozenset({top}))
    return total


def _imported(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the modules imported unconditionally: not in functions, nor where errors are caught."""
    for node in body:
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = "." * level + (module or "")
                yield start
                if level or start.startswith("lm_eval"):
                    yield from (f"{start.rstrip('.') or start}.{alias.name}" for alias in names)
            case ast.Try(body=inner, handlers=handlers) if all(map(_raises, handlers)):
                yield from _imported(inner)
            case ast.With(body=inner) | ast.ClassDef(body=inner):
                yield from _imported(inner)
            case _:
                pass


def _raises(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler raises again."""
    return any(isinstance(node, ast.Raise) for node in handler.body)


def _asserted(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield (distribution, version) of `assert version("X").startswith("Y")`."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert(
                test=ast.Call(
                    func=ast.Attribute(
                        value=ast.Call(args=[ast.Constant(value=str(name))]), attr="startswith"
                    ),
                    args=[ast.Constant(value=str(start))],
                )
            ):
                yield name, start
            case _:
                pass


def _looked_up(tree: ast.AST) -> Iterator[str]:
    """Yield the resources of `nltk.data.find("X")`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Attribute(attr="data"), attr="find"),
                args=[ast.Constant(value=str(name))],
            ):
                yield name
            case _:
                pass


def _harness_file(module: str) -> Path | None:
    """Return the file of a module of the harness's tasks, None for other modules."""
    folder = harness_folder()
    if folder is None or not module.startswith("lm_eval.tasks."):
        return None
    return _file_of(folder / module.removeprefix("lm_eval.tasks.").replace(".", "/"))


def _relative_file(name: str, file: Path) -> Path | None:
    level = len(name) - len(name.lstrip("."))
    folder = file.parents[level - 1]
    return _file_of(folder / name.lstrip(".").replace(".", "/"))


def _file_of(path: Path) -> Path | None:
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


@functools.cache
def _installed(name: str) -> bool:
    if name == "lm_eval" or name in sys.stdlib_module_names:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _in_nltk_data(resource: str) -> bool:
    """Return whether a resource is in one of nltk's folders, without importing nltk."""
    homes = [sys.prefix, f"{sys.prefix}/share", f"{sys.prefix}/lib", "/usr/share", "/usr/lib"]
    homes += ["/usr/local/share", "/usr/local/lib", str(Path.home())]
    places = [p for p in os.environ.get("NLTK_DATA", "").split(os.pathsep) if p]
    places += [f"{home}/nltk_data" for home in homes]
    return any(
        Path(place, resource).exists() or Path(place, f"{resource}.zip").exists()
        for place in places
    )

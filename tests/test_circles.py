"""Imports go one way: between files, between the rooms of a package, and between packages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES = (ROOT, ROOT / "plugins")
PACKAGES = sorted(
    {path.name: path for home in HOMES for path in home.glob("storm_*") if path.is_dir()}.items()
)


def modules() -> dict[str, Path]:
    """Return every module by its dotted name; a package's own file is called `__init__`."""
    return {
        ".".join(file.relative_to(folder.parent).with_suffix("").parts): file
        for _, folder in PACKAGES
        for file in folder.rglob("*.py")
    }


def imports(file: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules that a file imports anywhere: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parent = name.rpartition(".")[0]
            for module in (name, f"{name}.__init__", parent, f"{parent}.__init__"):
                if module in known:
                    yield module
                    break


@pytest.fixture(scope="module")
def arrows() -> set[tuple[str, str]]:
    known = modules()
    assert len(known) > 300
    return {(name, other) for name, file in known.items() for other in imports(file, known)}


def circle(arrows: set[tuple[str, str]]) -> set[str]:
    """Return what lies on a circle or between two, and so cannot be put in an order."""
    left = {pair for pair in arrows if pair[0] != pair[1]}
    while True:
        sources = {source for source, _ in left}
        targets = {target for _, target in left}
        inner = {pair for pair in left if pair[1] in sources and pair[0] in targets}
        if inner == left:
            return sources
        left = inner


def contracted(arrows: set[tuple[str, str]], folder: str) -> set[tuple[str, str]]:
    """Return the arrows between what lies in a folder: files, and rooms as a whole."""
    found = set()
    for pair in arrows:
        if all(name.startswith(f"{folder}.") for name in pair):
            first, second = (name.removeprefix(f"{folder}.").split(".")[0] for name in pair)
            found.add((first, second))
    return found


def test_a_circle_is_found():
    assert circle({("a", "b"), ("b", "c")}) == set()
    assert circle({("a", "b"), ("b", "a"), ("b", "c"), ("d", "a")}) == {"a", "b"}
    rooms = contracted({("p.x.a", "p.y.b"), ("p.y.c", "p.x.d"), ("p.x.a", "q.e")}, "p")
    assert circle(rooms) == {"x", "y"}


@pytest.mark.parametrize("package", [name for name, _ in PACKAGES])
def test_no_files_of_a_package_import_each_other_in_a_circle(package, arrows):
    inside = {pair for pair in arrows if all(name.startswith(f"{package}.") for name in pair)}
    assert circle(inside) == set()


@pytest.mark.parametrize("package", [name for name, _ in PACKAGES])
def test_no_rooms_of_a_package_import_each_other_in_a_circle(package, arrows):
    folders = {name.rpartition(".")[0] for name, _ in arrows if name.startswith(f"{package}.")}
    for folder in folders:
        assert circle(contracted(arrows, folder)) == set(), folder


def test_no_packages_import_each_other_in_a_circle(arrows):
    packages = {(first.split(".")[0], second.split(".")[0]) for first, second in arrows}
    assert circle(packages) == set()

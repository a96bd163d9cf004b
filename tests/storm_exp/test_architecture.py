"""The tree is the architecture: who may import whom."""

from __future__ import annotations

import ast
import importlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").glob("storm_*") if path.is_dir())
SHARED = {"storm_exp", "storm_models", "storm_data", "storm_inference", "storm_report"}
HEAVY = {"torch", "numpy", "transformers", "lightning", "safetensors", "pyarrow", "scipy"}
FLOORS = ["_contract", "_store", "_compose", "_plan", "_run"]
"""The engine's, from the ground. Above them are the modules that plugins import."""
PUBLIC = {"storm_exp", "storm_exp.report", "storm_exp.testing"}
TESTING = ROOT / "storm_exp" / "testing"
ENGINE = sorted((ROOT / "storm_exp").rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Return the top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("file", ENGINE, ids=lambda f: f.stem)
def test_the_engine_imports_no_machine_learning_and_no_plugin(file):
    assert not imports(file) & (HEAVY | set(PLUGINS) | {"hydra_plugins"})


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_knows_the_public_line_of_the_engine_alone(plugin):
    for file in (ROOT / "plugins" / plugin).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            module = (getattr(node, "module", "") or "").partition(".")[0]
            if isinstance(node, ast.ImportFrom) and module == "storm_exp":
                assert node.module in PUBLIC, f"{file.relative_to(ROOT)} imports {node.module}"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_uses_the_engine_the_shared_plugins_and_itself(plugin):
    if plugin == "storm_tinyworld":
        return
    for file in (ROOT / "plugins" / plugin).rglob("*.py"):
        used = {name for name in imports(file) if name.startswith("storm_")}
        assert used <= SHARED | {plugin}, f"{file.relative_to(ROOT)} imports {used - SHARED}"


def engine_imports(file: Path) -> set[Path]:
    """Return the files of the engine that a file imports: at any depth, and for types alone too.

    An import for types says as much of who knows whom as one that is carried out.
    """
    found: set[Path] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module or ""]
        else:
            continue
        for name in names:
            module = ROOT / name.replace(".", "/")
            found |= {each for each in (module.with_suffix(".py"),) if each in ENGINE}
            if name == "storm_exp":
                found.add(module / "__init__.py")
    return found - {file}


def floor(file: Path) -> int:
    """Return the number of the floor on which a file of the engine stands."""
    return FLOORS.index(file.parent.name) if file.parent.name in FLOORS else len(FLOORS)


@pytest.mark.parametrize("file", ENGINE, ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_a_floor_of_the_engine_rests_on_those_below(file):
    above = [other for other in engine_imports(file) if floor(other) > floor(file)]
    assert not above, f"{file.relative_to(ROOT)} imports {above}"


def test_no_files_of_the_engine_import_each_other_in_a_circle():
    graph = {file: engine_imports(file) for file in ENGINE}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(str(file.relative_to(ROOT)) for file in error.args[1]))
    assert len(order) == len(ENGINE)


def lines_of_code(files: list[Path]) -> int:
    """Return how many lines of files are code: no docstring, no comment, not empty."""
    lines = 0
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        code = {
            number
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt) and not is_docstring(node)
            for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        documented = {
            number
            for node in ast.walk(tree)
            if is_docstring(node)
            for number in range(node.lineno, node.end_lineno + 1)
        }
        text = file.read_text(encoding="utf-8").splitlines()
        lines += sum(bool(text[number - 1].strip()) for number in code - documented)
    return lines


def test_the_engine_stays_small():
    engine = [file for file in ENGINE if TESTING not in file.parents]
    # What there is. A tenth of it checks command lines and explains Hydra's errors.
    assert lines_of_code(engine) < 4590


def test_what_is_there_for_tests_stays_small():
    assert lines_of_code([file for file in ENGINE if TESTING in file.parents]) < 600


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_public_line_says_what_it_is(name):
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for each in module.__all__:
        assert getattr(module, each) is not None
    bound = {each for each in vars(module) if not each.startswith("_")} - set(module.__all__)
    hidden = {each for each in bound if not isinstance(getattr(module, each), ModuleType)}
    assert hidden <= {"annotations"}, f"{name} has {hidden}, and does not say so in __all__"


def is_docstring(node: ast.AST) -> bool:
    """Return whether a statement is only a text."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )

"""The tree is the architecture: who may import whom, and what configurations may hold."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").glob("storm_*") if path.is_dir())
SHARED = {"storm_exp", "storm_models", "storm_data", "storm_inference", "storm_report"}
HEAVY = {"torch", "numpy", "transformers", "lightning", "safetensors", "pyarrow", "scipy"}
FLOORS = ["_contract", "_store", "_compose", "_plan", "_run"]
"""The engine's, from the ground. Above them are the modules that plugins import."""
ENGINE = sorted((ROOT / "storm_exp").rglob("*.py"))
CONF = ROOT / "conf"
RECIPES = sorted((CONF / "recipe").glob("*.yaml"))
PRESETS = sorted(
    file
    for folder in [CONF, *(ROOT / "plugins").glob("*/conf")]
    for file in folder.glob("*/*.yaml")
    if file.parent.name not in ("recipe", "runtime", "sweep", "inference")
)


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


def test_the_engine_stays_small():
    lines = 0
    for file in (ROOT / "storm_exp").rglob("*.py"):
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
    # Rehearsals, faults that are named, and sweeps composed once came in before the engine is cut
    # down to what it must know.
    assert lines < 4560


def is_docstring(node: ast.AST) -> bool:
    """Return whether a statement is only a text."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_a_recipe_holds_graph_and_targets_and_how_chats_are_read(file):
    body = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(body) <= {"defaults", "graph", "targets", "chat"}


@pytest.mark.parametrize("file", PRESETS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_preset_names_its_component_first_and_does_not_share_its_name(file):
    body = yaml.safe_load(file.read_text(encoding="utf-8"))
    defaults = body.get("defaults", [])
    assert len(defaults) == 2, f"{file}: defaults must be [component, _self_]"
    assert defaults[1] == "_self_"
    assert defaults[0] != file.stem


@pytest.mark.parametrize("file", [*RECIPES, *PRESETS], ids=lambda f: f"{f.parent.name}-{f.stem}")
def test_configurations_name_no_import_paths(file):
    assert "_target_" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", PRESETS, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_preset_composes(plan, file, tmp_path):
    from hydra import compose, initialize_config_dir

    from storm_exp._contract.plugins import load_plugins
    from storm_exp._run import application

    application.register_components(load_plugins())
    menu = file.parent.name
    recipe = tmp_path / "recipe" / "alone.yaml"
    recipe.parent.mkdir()
    recipe.write_text(f"# @package _global_\ndefaults: [/{menu}: {file.stem}]\n", encoding="utf-8")
    with initialize_config_dir(str(application.config_folder()), version_base="1.3"):
        config = compose("config", [f"hydra.searchpath=[file://{tmp_path}]", "recipe=alone"])
    assert config[menu] is not None

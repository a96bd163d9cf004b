"""`storm-exp new` lays out a project whose tests pass and whose recipe runs."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storm_exp.testing import installed, plan, run
from storm_project.new import TEMPLATE

PAGE = (Path(__file__).parents[2] / "docs/own-project.md").read_text(encoding="utf-8")
OFFLINE = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", "site"]


def lay_out(folder: Path, *words: str) -> Path:
    result = run(folder, "new", *words)
    assert result.code == 0, result.err
    return folder / words[0]


def pip_install(project: Path) -> Path:
    """Install a project, offline, into a folder of its own."""
    words = [sys.executable, "-m", "pip", "install", *OFFLINE, "."]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return project / "site"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose folder has a name that no package can have."""
    return lay_out(tmp_path_factory.mktemp("new"), "Größe & Länge 2")


@pytest.fixture(scope="module")
def plugin(project: Path) -> Iterator[Path]:
    """The folder of the project's package, which is a plugin here without pip."""
    sys.path.insert(0, str(project))
    try:
        yield Path(importlib.import_module("grosse_lange_2").__file__ or "").parent
    finally:
        sys.path.remove(str(project))


@pytest.mark.slow
def test_the_commands_of_the_page_run_and_the_tests_of_the_project_pass(tmp_path):
    first, second, third, *others = re.findall(r"^    (.*)$", PAGE, re.M)
    assert [first, second] == ["storm-exp new my-project", "pip install --editable my-project"]
    project = lay_out(tmp_path, "my-project")
    with installed(pip_install(project)):
        assert third == "pytest my-project"
        words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my-project"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 passed" in done.stdout
        for command in others:
            small = ["base_model=tinyworld/smoke", "finetuner.steps=2", "evaluator.limit=4"]
            short = ["dataset.rows=60", "dataset.validation_rows=8"]
            typed = shlex.split(command)[1:]
            result = run(tmp_path, *typed, *small, *short)
            assert result.code == 0, f"{command}\n{result.err}"
    assert len(others) == 3


def test_what_it_brings_is_found_by_name(plugin, tmp_path):
    with installed(sys.modules["grosse_lange_2"]):
        labels = {
            node.label for node in plan(tmp_path, "recipe=grosse_lange_2/curated").nodes.values()
        }
        assert {"curator", "finetuner", "comparison"} <= labels
        described = run(tmp_path, "show", "grosse_lange_2_short_answers").out
    assert "max_characters: int = 400" in described


def test_every_file_has_the_name_of_the_project(project):
    files = [f for f in project.rglob("*") if f.is_file() and f.suffix != ".pyc"]
    assert {f.name for f in files} >= {"README.md", ".gitignore", "pyproject.toml"}
    for file in files:
        text = str(file.relative_to(project)) + file.read_text(encoding="utf-8")
        assert not re.search("my.project", text), file
    assert "grosse_lange_2" in (project / "README.md").read_text(encoding="utf-8")


def test_the_recipe_becomes_one_for_a_model_of_ones_own_by_one_word(plugin, tmp_path):
    recipe = plugin / "conf/recipe/grosse_lange_2/curated.yaml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("/recipe/tinyworld/sft", "/recipe/sft"), encoding="utf-8")
    with installed(sys.modules["grosse_lange_2"]):
        result = run(tmp_path, "plan", "recipe=grosse_lange_2/curated", "targets=[curator]")
    recipe.write_text(text, encoding="utf-8")
    assert "dataset.path" in result.error


def test_files_point_an_editor_to_the_schemas_of_what_they_configure(plugin):
    pointed = {
        file.parents[1].name: (file.parent / path).resolve().relative_to(plugin.parent)
        for file in plugin.rglob("*.yaml")
        for path in re.findall(r"\$schema=(\S+)", file.read_text(encoding="utf-8"))
    }
    # `storm-exp schema all schemas` writes component/NAME.json and recipe/NAME.json.
    assert pointed == {
        "curator": Path("schemas/component/grosse_lange_2_short_answers.json"),
        "recipe": Path("schemas/recipe/grosse_lange_2/curated.json"),
    }


def test_what_is_said_at_the_end_can_be_typed(tmp_path):
    said = run(tmp_path, "new", "my trial").out
    lines = [shlex.split(line) for line in said.splitlines() if line.startswith("  ")]
    assert ["pip", "install", "--editable", "my trial"] in lines
    assert ["storm-exp", "recipe=my_trial/curated"] in lines


@pytest.mark.parametrize(
    ("folder", "package"),
    [("a", "a"), ("3d", "project_3d"), ("deep/er/Straße", "strasse"), ("x.y-z", "x_y_z")],
)
def test_a_folder_gives_the_package_its_name(tmp_path, folder, package):
    assert (lay_out(tmp_path, folder) / package / "__init__.py").is_file()


def test_an_empty_folder_may_be_there(tmp_path):
    (tmp_path / "mine").mkdir()
    assert (lay_out(tmp_path, "mine") / "mine").is_dir()


def test_a_name_may_be_given(tmp_path):
    assert (lay_out(tmp_path, "日本", "--name", "japan") / "japan/__init__.py").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["full"], "full is not empty (file.txt); name a new folder"),
        (["full/file.txt"], "full/file.txt is a file; name a new or an empty folder"),
        (["full/file.txt/mine"], "full/file.txt/mine"),
        (["/proc/mine"], "storm-exp new: /proc/mine: "),  # which not even root can write
        (["--from-mergekit", "merge.yaml"], "by the verb: storm-exp mergekit FILE >"),
        (["mine", "--from-mergekit=merge.yaml"], "storm-exp mergekit FILE > own/recipe/NAME.yaml"),
        (["日本"], "no package can be named as the folder '日本'; write storm-exp new DIR --name"),
        (["torch"], "there is a Python module 'torch' already"),
        (["mine", "--name", "My Own"], "--name 'My Own': must be small letters, digits and _"),
        (["mine", "--name", "class"], "--name 'class': must be small letters"),
        (["mine", "--name", "json"], "there is a Python module 'json' already"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_written(tmp_path, words, said):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file.txt").touch()
    result = run(tmp_path, "new", *words)
    assert result.code == 1
    assert said in result.error
    assert [path.name for path in tmp_path.rglob("*.toml")] == []


def test_the_template_is_shipped_whole(project):
    files = [f for f in TEMPLATE.rglob("*") if f.is_file() and f.suffix != ".pyc"]
    written = [f for f in project.rglob("*") if f.is_file()]
    assert len(files) == len([f for f in written if f.suffix != ".pyc"])

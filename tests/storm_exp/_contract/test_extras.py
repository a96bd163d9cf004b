"""An extra is named by the command that installs it where this project is installed as it is."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from storm_exp import install_command, load_plugins

ROOT = Path(__file__).parents[3]
SOURCES = [*ROOT.glob("storm_exp/**/*.py"), *ROOT.glob("plugins/**/*.py")]


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """Return a function that has `storm-own` installed from where `origin` says."""
    info = tmp_path / "storm_own-1.0.dist-info"
    info.mkdir()
    metadata = "Metadata-Version: 2.1\nName: storm-own\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def came_from(origin: dict[str, Any]) -> None:
        (info / "direct_url.json").write_text(json.dumps(origin), encoding="utf-8")

    return came_from


def test_an_extra_of_an_editable_checkout_is_installed_from_its_folder(
    distribution, tmp_path, monkeypatch
):
    checkout = tmp_path / "my checkout"
    checkout.mkdir()
    distribution({"url": checkout.as_uri(), "dir_info": {"editable": True}})
    assert install_command("gpu", "storm-own") == f"pip install -e '{checkout}[gpu]'"
    monkeypatch.chdir(checkout)
    assert install_command("gpu", "storm-own") == "pip install -e '.[gpu]'"


def test_an_extra_of_a_wheel_is_installed_by_name(distribution):
    assert install_command("gpu", "storm-own") == "pip install 'storm-own[gpu]'"
    distribution({"url": "file:///a/storm_own-1.0-py3-none-any.whl", "archive_info": {}})
    assert install_command("gpu", "storm-own") == "pip install 'storm-own[gpu]'"
    distribution({"url": "file:///a/checkout", "dir_info": {}})
    assert install_command("gpu", "storm-own") == "pip install 'storm-own[gpu]'"


def test_an_extra_of_what_has_no_metadata_is_installed_by_name():
    assert install_command("gpu", "storm-nowhere") == "pip install 'storm-nowhere[gpu]'"


def test_every_extra_that_is_named_exists():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    known = tomllib.loads(text)["project"]["optional-dependencies"].keys()
    named = {each.extra for each in load_plugins().plugins if each.distribution == "storm-exp"}
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", "")
                given = [k.value for k in node.keywords if k.arg == "extra"]
                given += node.args[:1] * (called == "install_command")
                named |= {each.value for each in given if isinstance(each, ast.Constant)}
    assert {"gpu", "evaluate", "fp8", "merge"} <= named
    assert named - {""} <= known


def test_no_message_names_an_extra_by_hand():
    by_hand = [f for f in SOURCES if "storm-exp[" in f.read_text(encoding="utf-8")]
    assert not by_hand

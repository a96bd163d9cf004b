"""A plugin says for which versions of the engine's API it is, and is not imported for others."""

from __future__ import annotations

import sys

import pytest

from storm_exp import API_VERSION, PluginError
from storm_exp._contract import api_version
from storm_exp._contract.api_version import check_api
from storm_exp._contract.plugins import load_plugins
from storm_exp.testing import installed

LEAVES_A_TRACE = "import sys\nsys.storm_was_imported = True\nfrom storm_exp import NoSuchName\n"


def write(folder, says, name="storm_stranger"):
    """Write a plugin that shows whether it was imported; return its folder as pip leaves one."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"{says}\n{LEAVES_A_TRACE}", encoding="utf-8")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    metadata = "Metadata-Version: 2.1\nName: storm-stranger\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[storm_exp]\nstranger = {name}\n", encoding="utf-8")
    return folder


SAID = [
    (
        'storm_api = "<1"',
        "is for the versions <1 of storm-exp's API, and this is 1: pip install --upgrade "
        "storm-stranger, or install an older storm-exp",
    ),
    (
        'storm_api: str = ">=2,<4"',
        "is for the versions >=2,<4 of storm-exp's API, and this is 1: pip install --upgrade "
        "storm-exp, or install an older storm-stranger",
    ),
    (
        "",
        "does not say for which versions of storm-exp's API it is: its author adds the line "
        'storm_api = ">=1,<2" to the module storm_stranger',
    ),
    (
        'storm_api = " "',
        "does not say for which versions of storm-exp's API it is: its author adds the line "
        'storm_api = ">=1,<2" to the module storm_stranger',
    ),
    (
        'storm_api = "one"',
        'storm_api = "one" in storm_stranger is no range of versions, such as ">=1,<2"',
    ),
]


@pytest.mark.parametrize(("says", "answer"), SAID)
def test_a_plugin_for_other_versions_is_broken_and_not_imported(storm, tmp_path, says, answer):
    with installed(write(tmp_path / "site", says)):
        said = storm("list", "plugins")
        assert said.code == 0
        assert f"stranger (storm-stranger): broken: {answer}\n" in said.out
        assert storm("recipe=sum").code == 0
        assert f"the plugin 'stranger' could not be loaded: {answer}" in storm("recipe=non").err
    assert not hasattr(sys, "storm_was_imported")
    assert "storm_stranger" not in sys.modules


def test_a_plugin_for_this_version_is_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "storm_was_imported", False, raising=False)
    with installed(write(tmp_path / "site", 'storm_api = ">=1,<2"')):
        (broken,) = load_plugins().broken()
    assert "ImportError: cannot import name 'NoSuchName'" in broken.error
    assert sys.storm_was_imported
    sys.modules.pop("storm_stranger", None)


@pytest.mark.parametrize("stated", [">=1,<2", "==1", ">=1", "~=1.0", "<3,!=2"])
def test_ranges_that_hold_this_version(tmp_path, monkeypatch, stated):
    monkeypatch.syspath_prepend(str(write(tmp_path, f'storm_api = "{stated}"', "storm_held")))
    check_api("storm_held", "storm-held")


def test_a_later_engine_asks_for_a_later_plugin(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(write(tmp_path, 'storm_api = ">=1,<2"', "storm_old")))
    monkeypatch.setattr(api_version, "API_VERSION", API_VERSION + 1)
    with pytest.raises(PluginError, match="this is 2: pip install --upgrade storm-old"):
        check_api("storm_old", "storm-old")


def test_a_module_of_a_package_is_read_without_importing_the_package(tmp_path, monkeypatch):
    package = write(tmp_path, "", "storm_outer") / "storm_outer"
    (package / "plugin.py").write_text('storm_api = ">=1"\n', encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    check_api("storm_outer.plugin", "storm-outer")
    with pytest.raises(PluginError, match=r"the module storm_outer$"):
        check_api("storm_outer", "storm-outer")
    assert "storm_outer" not in sys.modules


def test_what_cannot_be_read_is_told_by_its_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "storm_broken.py").write_text("1 +\n", encoding="utf-8")
    for module in ("storm_broken", "no_such_module", "no_such.module", "json.no_such"):
        check_api(module, "storm-stranger")

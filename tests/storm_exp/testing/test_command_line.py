"""The command line inside a test: what it came to, and that it leaves nothing behind."""

from __future__ import annotations

import importlib.machinery
import logging
import os
import sys
import types
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from storm_exp import PlanError, PluginError, StormError, hookimpl
from storm_exp._contract.plugins import load_plugins
from storm_exp.testing import installed, plan, run, toys


def test_a_run_gives_its_code_its_plan_and_its_record(tmp_path):
    result = run(tmp_path, "recipe=sum", "adder.amount=2")
    assert (result.code, result.error) == (0, "")
    assert "total" in result.out
    assert "[4/4] total" in result.err
    assert {node.label for node in result.plan.nodes.values()} == {
        *("source", "adder", "other", "total")
    }
    assert result.record.status == "finished"
    assert result.stage("adder").metrics == {"value": 3.0}
    assert result.stage("adder").read("value.json") == 3.0
    assert Path(result.stage("adder").directory).is_relative_to(tmp_path / "outputs")
    with pytest.raises(KeyError, match=r"no stage 'addr' among .*adder"):
        result.stage("addr")


def test_a_failed_run_gives_its_error_and_what_became_of_its_stages(tmp_path):
    result = run(tmp_path, "recipe=sum", "adder=fussy", "source.value=9")
    assert result.code == 1
    assert result.error.startswith("adder failed with ArithmeticError: that is too much")
    assert result.record.status == "failed"
    assert result.stage("adder").status == "failed"


def test_a_refused_recipe_gives_its_error_and_no_record(tmp_path):
    result = run(tmp_path, "recipe=sum", "adder.amont=2")
    assert result.code == 1
    assert "did you mean 'amount'?" in result.error
    assert (result.plan, result.record) == (None, None)
    with pytest.raises(KeyError, match="no stage 'adder'"):
        result.stage("adder")


def test_a_plan_makes_nothing(tmp_path):
    result = run(tmp_path, "plan", "recipe=sum")
    assert "will be 14" in result.out
    assert len(result.plan.to_make()) == 4
    assert result.record is None
    assert not any(tmp_path.iterdir())


def test_a_sweep_is_planned_as_one(tmp_path):
    cells = plan(tmp_path, "-m", "recipe=sum", "adder.amount=1,2").cells
    assert [cell.name for cell in cells] == ["adder.amount=1", "adder.amount=2"]
    with pytest.raises(PlanError, match="the sum would be more than 100"):
        plan(tmp_path, "recipe=sum", "adder.amount=200")


def test_nothing_is_left_of_a_command_line_that_ended_well_or_badly(tmp_path):
    root = logging.getLogger()

    def state():
        hydra = GlobalHydra.instance().is_initialized(), HydraConfig.instance().cfg
        return Path.cwd(), sys.argv, dict(os.environ), root.handlers[:], root.level, *hydra

    before = state()
    for words in (["recipe=sum"], ["recipe=sum", "adder=fussy", "source.value=9"], ["recipe=non"]):
        run(tmp_path, *words)
        assert state() == before
    with pytest.raises(StormError):
        plan(tmp_path, "recipe=sum", "source.value=2000")
    assert state() == before


class Verbs:
    """A plugin with verbs that end as programs do."""

    @staticmethod
    @hookimpl
    def storm_verbs():
        return {"leave": lambda words: sys.exit(*words), "told": lambda words: sys.exit("no")}


def test_a_verb_that_leaves_by_system_exit_has_its_code(tmp_path, monkeypatch):
    plugins = load_plugins()
    monkeypatch.setattr(plugins.plugins[0], "verbs", Verbs.storm_verbs())
    assert run(tmp_path, "leave").code == 0
    told = run(tmp_path, "told")
    assert (told.code, told.err) == (1, "no\n")


def test_a_plugin_is_installed_for_a_time(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "storm_passing.py").write_text(
        "from storm_exp import hookimpl\n"
        'storm_api = ">=1,<2"\n'
        "@hookimpl\n"
        "def storm_verbs():\n"
        "    return {'greet': lambda words: print('hello', *words) or 0}\n",
        encoding="utf-8",
    )
    sys.path.insert(0, str(folder))
    try:
        import storm_passing
    finally:
        sys.path.remove(str(folder))
    path, options = sys.path[:], str(ConfigStore.instance().repo)
    with installed(storm_passing):
        assert run(tmp_path, "greet", "you").out == "hello you\n"
        assert "storm_passing (storm-passing): " in run(tmp_path, "list", "plugins").out
        assert run(tmp_path, "plan", "recipe=sum").code == 0
    assert (sys.path, str(ConfigStore.instance().repo)) == (path, options)
    assert "no verb 'greet'" in run(tmp_path, "greet").error


def test_a_module_that_is_no_plugin_is_not_installed_in_silence():
    module = types.ModuleType("storm_without_version")
    module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
    with (
        pytest.raises(PluginError, match="'storm_without_version' could not be loaded"),
        installed(module),
    ):
        pass
    assert "storm_without_version" not in str(load_plugins().plugins)


def test_two_plugins_of_one_name_are_told_as_the_command_line_tells_them(tmp_path):
    with installed(toys):
        with pytest.raises(PluginError, match="two plugins are named 'toys'"):
            load_plugins()
        assert "two plugins are named 'toys'" in run(tmp_path, "list", "plugins").error

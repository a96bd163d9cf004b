"""Plugins: loaded one by one, so that a broken one breaks nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from storm_exp import Artifact, PluginError, StageContext, component, hookimpl
from storm_exp._contract.plugins import Plugin, Plugins, load_plugins


class Thing(Artifact):
    """What the components here make."""


def a_plugin(**hooks: object) -> SimpleNamespace:
    """Return a module-like object with hooks that return these values."""

    def hook(name: str, value: object):
        def implementation():
            if isinstance(value, Exception):
                raise value
            return value

        implementation.__name__ = name
        return hookimpl(implementation)

    return SimpleNamespace(**{name: hook(name, value) for name, value in hooks.items()})


def a_component(name: str) -> type:
    @component("menu", name, version=1)
    class Plain:
        def run(self, stage: StageContext) -> Thing:
            raise NotImplementedError

    return Plain


FOR_THIS_API = 'storm_api = ">=1,<2"\n'


def install(
    folder: Path, name: str, code: str, distribution: str = "", says: str = FOR_THIS_API
) -> None:
    """Install a plugin of one module, as pip would."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(says + code, encoding="utf-8")
    info = folder / f"{distribution or name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution or name}\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(f"[storm_exp]\n{name} = {name}\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder that plugins can be installed into, for this test."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    load_plugins.cache_clear()
    yield tmp_path / "site"
    load_plugins.cache_clear()


def test_a_broken_plugin_is_named_and_the_others_work(storm, folder, values):
    install(folder, "broken_toys", "import no_such_module\n", "broken-toys")
    said = storm("list", "plugins")
    assert said.code == 0
    assert (
        "broken_toys (broken-toys): broken: ModuleNotFoundError: No module named 'no_such_module'"
        in said.out
    )
    assert storm("recipe=sum").code == 0
    assert values()["total"] == 14


def test_components_need_what_their_plugin_says_unless_they_say_it_themselves():
    @component("menu", "free", version=1, requires=())
    class Free:
        def run(self, stage: StageContext) -> Thing:
            raise NotImplementedError

    hooks = {
        "storm_components": [a_component("plain"), Free],
        "storm_requires": (("no_such_package",), "rare"),
    }
    plugins = Plugins()
    plugins.add(Plugin("picky", "picky-dist"), lambda: a_plugin(**hooks))
    plain = plugins.component("plain")
    assert (plain.missing_packages(), plain.extra) == (["no_such_package"], "rare")
    assert plugins.component("free").missing_packages() == []


@pytest.mark.parametrize("hook", ["storm_components", "storm_config_folder", "storm_verbs"])
def test_a_plugin_whose_hook_fails_is_broken_as_well(hook):
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: a_plugin(**{hook: ValueError("oh")}))
    plugins.add(Plugin("good", "good-dist"), lambda: a_plugin(storm_components=[a_component("x")]))
    assert [(plugin.name, plugin.error) for plugin in plugins.broken()] == [
        ("bad", "ValueError: oh")
    ]
    assert plugins.component("x").menus == ("menu",)
    assert plugins.config_folders() == []
    assert plugins.verbs([]) == ({}, [])


@pytest.mark.parametrize("event", ["storm_check_plan", "storm_run_finished", "storm_compute"])
def test_a_plugin_whose_hook_asks_for_something_else_is_broken(event):
    def implementation(something):
        """Ask for what no engine gives."""

    module = SimpleNamespace(**{event: hookimpl(implementation)})
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: module)
    (broken,) = plugins.broken()
    assert event in broken.error and "something" in broken.error


AMISS = [
    ("storm_components", 5, "list[type]"),
    ("storm_components", ["Slerp"], "list[type]"),
    ("storm_requires", ("torch", "train"), "tuple[tuple[str, ...], str]"),
    ("storm_requires", (("torch",), "train", "more"), "tuple[tuple[str, ...], str]"),
    ("storm_config_folder", 3, "str"),
    ("storm_verbs", {"greet": "hello"}, "dict[str, Callable[[list[str]], int]]"),
    ("storm_sections", {"mine": {"a": 1}}, "dict[str, type]"),
    (
        "storm_actions",
        {"act": None},
        "dict[str, Callable[[list[Composition]], list[float | None] | Answer]]",
    ),
]


@pytest.mark.parametrize(("hook", "result", "stated"), AMISS)
def test_a_plugin_whose_hook_returns_something_else_is_broken(hook, result, stated):
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: a_plugin(**{hook: result}))
    (broken,) = plugins.broken()
    assert broken.error == (
        f"{hook}: the plugin 'bad' returned {result!r}, which should be {stated}"
    )


def test_a_section_that_is_no_dataclass_is_named():
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: a_plugin(storm_sections={"mine": int}))
    assert plugins.broken()[0].error == "storm_sections: mine should be a dataclass of settings"
    assert plugins.sections() == {}


@pytest.mark.parametrize(
    ("hook", "result"),
    [
        ("storm_plan_notices", "a text"),
        ("storm_plan_notices", [5]),
        ("storm_look_up", ["a line"]),
        ("storm_compute", "cpu"),
        ("storm_report_page", "report.html"),
        ("storm_closing_table", [["stage"]]),
    ],
)
def test_a_hook_that_returns_something_else_later_names_its_plugin(hook, result):
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: a_plugin(**{hook: result}))
    assert not plugins.broken()
    arguments = dict.fromkeys(getattr(plugins.hook, hook).spec.argnames)
    with pytest.raises(PluginError, match=rf"^{hook}: the plugin 'bad' returned .* should be "):
        getattr(plugins.hook, hook)(**arguments)


def test_a_hook_that_fails_names_its_plugin():
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: a_plugin(storm_plan_notices=ValueError("oh")))
    told = "storm_plan_notices: the plugin 'bad' failed with ValueError: oh"
    with pytest.raises(PluginError, match=told):
        plugins.hook.storm_plan_notices(plan=None)


def test_a_plugin_with_a_hook_that_does_not_exist_is_broken():
    module = SimpleNamespace(storm_component=hookimpl(lambda: []))
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: module)
    plugins.add(Plugin("good", "good-dist"), lambda: a_plugin(storm_components=[a_component("x")]))
    (broken,) = plugins.broken()
    assert "unknown hook 'storm_component'" in broken.error
    with pytest.raises(PluginError, match="unknown hook 'storm_component'"):
        plugins.component("y")


def test_a_plugin_with_something_that_is_no_component_is_broken():
    plugins = Plugins()
    plugins.add(Plugin("bad", "bad-dist"), lambda: a_plugin(storm_components=[Thing]))
    assert "Thing is not decorated with @component" in plugins.broken()[0].error


def test_a_missing_option_says_which_plugin_could_not_be_loaded(storm, folder):
    install(folder, "broken_toys", "1 / 0\n")
    said = storm("recipe=sum", "adder=cube")
    assert said.code == 1
    assert "adder=cube: no such option" in said.err
    assert "the plugin 'broken_toys' could not be loaded: ZeroDivisionError" in said.err


def test_a_component_name_taken_twice_names_both_distributions():
    plugins = Plugins()
    plugins.add(Plugin("one", "dist-one"), lambda: a_plugin(storm_components=[a_component("x")]))
    with pytest.raises(PluginError) as raised:
        plugins.add(
            Plugin("two", "dist-two"), lambda: a_plugin(storm_components=[a_component("x")])
        )
    assert "two components are named 'x'" in str(raised.value)
    assert "'dist-one'" in str(raised.value)
    assert "'dist-two'" in str(raised.value)


def test_a_plugin_name_taken_twice_names_both_distributions():
    plugins = Plugins()
    plugins.add(Plugin("same", "dist-one"), a_plugin)
    with pytest.raises(PluginError, match=r"two plugins are named 'same'.*dist-one.*dist-two"):
        plugins.add(Plugin("same", "dist-two"), a_plugin)


def test_a_verb_taken_twice_is_left_out_and_names_both_distributions():
    plugins = Plugins()
    for name in ("one", "two"):
        verbs = {"chat": print, name: print}
        plugins.add(Plugin(name, f"dist-{name}"), lambda verbs=verbs: a_plugin(storm_verbs=verbs))
    found, problems = plugins.verbs([])
    assert set(found) == {"one", "two"}
    assert problems == [
        f"the verb 'chat' of the plugin '{name}' (dist-{name}) is left out: another plugin brings "
        "one of the same name"
        for name in ("one", "two")
    ]


VERBS = """
from storm_exp import hookimpl

@hookimpl
def storm_verbs():
    return {"greet": greet}

def greet(arguments):
    print("hello", *arguments)
    return 3

@hookimpl
def storm_stage_finished(label, manifest):
    print("heard of", label, manifest.metrics["value"])

@hookimpl
def storm_run_finished(run):
    raise RuntimeError("the tracker is down")
"""


def test_a_plugin_brings_verbs_and_hears_of_stages(storm, folder):
    install(folder, "polite_toys", VERBS)
    said = storm("greet", "world")
    assert (said.code, said.out) == (3, "hello world\n")
    said = storm("recipe=sum")
    assert said.code == 0
    assert "heard of adder 2.0" in said.out


def test_a_tracker_that_fails_does_not_end_the_run(storm, folder, statuses):
    install(folder, "polite_toys", VERBS)
    said = storm("recipe=sum")
    assert said.code == 0
    assert (
        "storm_run_finished: the plugin 'polite_toys' failed with RuntimeError: the tracker"
        in said.err
    )
    assert set(statuses().values()) == {"made"}
    record = json.loads(Path("outputs/latest/run.json").read_text())
    (problem,) = record["problems"]
    assert problem.endswith("failed with RuntimeError: the tracker is down")


STARTS = """
from storm_exp import hookimpl

@hookimpl
def storm_run_started(run):
    (cell,) = run.cells
    assert run.directory.is_dir() and cell.config["seed"] == 0
    print("begins:", *(f"{stage.label} {stage.status}" for stage in run.stages()))
    run.problems.append("something to remember")

@hookimpl
def storm_stage_finished(run, label):
    print(label, "of", run.recipe)
"""


def test_a_tracker_hears_of_a_run_before_its_first_stage(storm, folder):
    install(folder, "early_toys", STARTS)
    reached = "begins: source not reached adder not reached other not reached total not reached"
    said = storm("recipe=sum")
    assert said.out.startswith(f"{reached}\nsource of sum\nadder of sum\n")
    assert storm("recipe=sum").out.startswith("begins: source kept adder kept other kept")
    record = json.loads(Path("outputs/latest/run.json").read_text())
    assert record["problems"] == ["something to remember"]


def test_a_plugin_cannot_replace_a_verb_of_the_engine(storm, folder):
    verbs = VERBS.replace('{"greet": greet}', '{"plan": greet, "hail": greet}')
    install(folder, "rude_toys", verbs)
    said = storm("plan", "recipe=sum")
    assert said.code == 0
    assert "to make: 1 source" in said.out
    assert (
        "the verb 'plan' of the plugin 'rude_toys' (rude_toys) is left out: the engine has one of "
        "the same name" in said.err
    )
    assert storm("hail", "all").out == "hello all\n"


@pytest.mark.parametrize("leaves", ["raise SystemExit(3)", "import sys; sys.exit()"])
def test_a_plugin_that_leaves_when_it_is_loaded_is_named(storm, folder, leaves):
    install(folder, "leaving_toys", f"{leaves}\n")
    said = storm("list", "plugins")
    assert said.code == 0
    assert "leaving_toys (leaving_toys): broken: SystemExit: " in said.out
    assert storm("recipe=sum").code == 0


def test_a_tracker_that_leaves_is_named_and_the_others_hear(storm, folder, statuses):
    failing = 'raise RuntimeError("the tracker is down")'
    install(folder, "leaving_toys", VERBS.replace(failing, "raise SystemExit(2)"))
    hearing = VERBS.replace(failing, 'print("heard of the end")').replace('"greet"', '"hi"')
    install(folder, "quiet_toys", hearing)
    said = storm("recipe=sum")
    assert said.code == 0
    assert "storm_run_finished: the plugin 'leaving_toys' failed with SystemExit: 2" in said.err
    assert "heard of the end" in said.out
    assert set(statuses().values()) == {"made"}


def test_an_unavailable_component_is_listed_with_the_extra_to_install(storm):
    said = storm("list", "components")
    assert "unavailable() → Value  [unavailable: needs no_such_package; pip install" in said.out
    assert "'storm-toys[rare]'" in said.out

"""Hydra in front of the engine: overrides from every side, its flags, its launchers."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from storm_exp.testing import installed

ORDINARY = [
    (["adder=weighted"], {"adder": 2.0}),
    (["adder.amount=5"], {"adder": 6.0}),
    (["adder@other=add", "other.amount=2"], {"other": 3.0}),
    (["source=three", "total.factor=2"], {"total": 2 * (3 + 4 + 13)}),
    (["graph.other=null"], {"total": 3.0}),
    (["graph.adder.number=other"], {"adder": 12.0}),
    (["graph.total.numbers=[source]"], {"total": 1.0}),
    (["targets=[other]"], {"other": 11.0}),
    (["seed=3", "source=drawn"], {}),
    (["+adder@extra=add", "+graph.extra.number=adder"], {"extra": 3.0}),
]
"""Overrides, and numbers that they lead to."""

IN_YAML = [
    ([{"override /adder": "weighted"}], {}, {"adder": 2.0}),
    ([], {"adder": {"amount": 5}}, {"adder": 6.0}),
    ([{"override /adder@other": "add"}], {"other": {"amount": 2}}, {"other": 3.0}),
    ([], {"graph": {"other": None}}, {"total": 3.0}),
    ([], {"graph": {"adder": {"number": "other"}}}, {"adder": 12.0}),
    ([], {"targets": ["other"]}, {"other": 11.0}),
    ([{"/adder@extra": "add"}], {"graph": {"extra": {"number": "adder"}}}, {"extra": 3.0}),
]


@pytest.mark.parametrize(("overrides", "numbers"), ORDINARY)
def test_an_ordinary_override_works_from_the_command_line(storm, values, overrides, numbers):
    said = storm("recipe=sum", *overrides)
    assert said.code == 0, said.err
    assert numbers.items() <= values().items()


@pytest.mark.parametrize(("defaults", "body", "numbers"), IN_YAML)
def test_an_ordinary_override_works_from_a_users_recipe(
    storm, write_recipe, values, defaults, body, numbers
):
    graph = body.pop("graph", {})
    folder = write_recipe("mine", ["sum", *defaults, "_self_"], graph, **body)
    said = storm("-cd", folder, "recipe=mine")
    assert said.code == 0, said.err
    assert numbers.items() <= values().items()


def test_a_setting_that_is_a_dict_takes_further_keys(storm, record):
    parts = ["source.weights.y=2", "+source.weights.z=3", "source.inner.names=[b]"]
    said = storm("recipe=sum", "source=settled", *parts)
    assert said.code == 0, said.err
    source = record().cells[0].config["source"]
    assert source["weights"] == {"x": 1.0, "y": 2.0, "z": 3.0}
    assert storm("plan", "recipe=sum", "source=settled", "source.inner.nam=[b]").code == 1


def test_flags_may_stand_anywhere(storm):
    for arguments in (
        ("recipe=sum", "-m", "adder.amount=1,2"),
        ("recipe=sum", "adder.amount=1,2", "-m"),
        ("-m", "recipe=sum", "adder.amount=1,2"),
    ):
        assert "2 cells" in storm("plan", *arguments).out
    said = storm("--info", "defaults", "recipe=sum")
    assert "plus_ten" in said.out


def test_ordinary_overrides_work_under_m(storm, record):
    cells = "adder=add,weighted graph.total.numbers=[source],[source,adder] source.value=2,4"
    said = storm("-m", "recipe=sum", *cells.split(" "))
    assert said.code == 0, said.err
    found = {}
    for cell in record().cells:
        total = next(stage for stage in cell.stages if stage.stage == "total")
        found[cell.name] = total.metrics["value"]
    assert found == {
        f"adder={adder} graph.total.numbers={numbers} source.value={value}": float(
            value + (0 if numbers == "[source]" else value + 1 if adder == "add" else value * 2)
        )
        for adder in ("add", "weighted")
        for numbers in ("[source]", "[source,adder]")
        for value in (2, 4)
    }


@pytest.mark.slow
def test_ordinary_overrides_work_with_joblib(start, tmp_path):
    cells = ["adder=add,weighted", "source.value=3", "graph.other=null"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    said = start("-m", "storm_exp", "-m", "recipe=sum", *launcher, *cells).wait()
    assert said.code == 0, said.err
    sweep = (tmp_path / "outputs/latest").resolve()
    runs = sorted(run for run in (tmp_path / "outputs/runs").iterdir() if run != sweep)
    assert len(runs) == 2
    sums = {float((run / "total/value.json").read_text()) for run in runs}
    assert sums == {3 + 4, 3 + 6}


def test_a_cell_that_fails_under_joblib_is_told(start):
    cells = ["recipe=sum", "adder=fussy", "source.value=1,9", "hydra/launcher=joblib"]
    said = start("-m", "storm_exp", "-m", *cells).wait()
    assert said.code == 1
    assert "that is too much" in said.err


def test_cfg_job_shows_the_configuration_and_runs_nothing(storm, tmp_path):
    said = storm("recipe=sum", "adder.amount=7", "--cfg", "job")
    assert said.code == 0
    assert "amount: 7.0" in said.out
    assert not (tmp_path / "outputs/runs").exists()


def test_info_shows_where_configurations_come_from(storm, tmp_path):
    said = storm("recipe=sum", "--info", "defaults")
    assert said.code == 0
    assert "plus_ten" in said.out
    assert not (tmp_path / "outputs/runs").exists()


def test_help_names_the_first_command(storm):
    for arguments in ([], ["--help"]):
        said = storm(*arguments)
        assert said.code == 0
        assert "storm-exp recipe=storm" in said.out


def test_nothing_is_left_beside_the_outputs(storm, tmp_path):
    assert storm("recipe=sum").code == 0
    assert storm("-m", "recipe=sum", "adder.amount=1,2").code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_a_missing_recipe_names_those_there_are(storm):
    said = storm("adder=add")
    assert said.code == 1
    assert "recipe" in said.err
    assert "smoke" in said.err


def test_a_run_leaves_a_record_links_and_a_report(storm, tmp_path, record):
    assert storm("recipe=each", "adder.amount=2").code == 0
    latest = tmp_path / "outputs/latest"
    assert (latest / "report.html").is_file()
    assert (latest / "adder/second/value.json").read_text() == "5.0"
    found = record()
    assert (found.recipe, found.status) == ("each", "finished")
    assert found.argv == ["storm-exp", "recipe=each", "adder.amount=2"]
    assert found.cells[0].overrides == ["recipe=each", "adder.amount=2"]
    assert found.cells[0].config["adder"] == {"component": "add", "amount": 2.0}
    adder = next(stage for stage in found.cells[0].stages if stage.label == "adder[second]")
    assert adder.metrics == {"value": 5.0}
    assert adder.inputs == {"number": found.cells[0].stages[1].key}
    assert adder.seconds is not None
    assert found.environment["distributions"]["hydra-core"]


def test_a_second_run_makes_nothing_and_says_so(storm, statuses):
    assert storm("recipe=sum").code == 0
    said = storm("recipe=sum")
    assert "nothing to make, all artifacts are kept: 4" in said.err
    assert "nothing to make: everything was kept" in said.out
    assert set(statuses().values()) == {"kept"}


def test_a_run_imports_nothing_heavy(start, tmp_path: Path):
    script = (
        "import sys; from storm_exp.__main__ import main; code = main(['recipe=sum']);"
        "heavy = {'torch', 'numpy', 'transformers', 'pyarrow', 'scipy', 'matplotlib', 'pandas'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    said = start("-c", script).wait()
    assert said.code == 0
    assert said.err.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "words", [["recipe=sum"], ["plan", "recipe=sum"], ["plan", "sweep=amounts", "-m"]]
)
def test_a_command_line_is_composed_once(storm, monkeypatch, words):
    composed = []
    compose = ConfigLoaderImpl.load_configuration

    def counting(self: ConfigLoaderImpl, *arguments: object, **named: object) -> object:
        composed.append(arguments)
        return compose(self, *arguments, **named)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counting)
    assert storm(*words).code == 0
    merged_for_the_cells = "-m" in words
    assert len(composed) == 1 + merged_for_the_cells


COUNTING = """
from storm_exp import make_plan

storm_api = ">=1,<2"

def count(cells):
    print(f"{len(cells)} cells, {len(make_plan(cells).to_make())} artifacts")
    return [None] * len(cells)

def storm_actions():
    return {"count": count}
"""


def test_an_action_of_a_plugin_is_a_verb_that_gets_the_composed_recipes(
    storm, tmp_path, monkeypatch
):
    (tmp_path / "counting.py").write_text(COUNTING, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with installed(importlib.import_module("counting")):
        assert "1 cells, 4 artifacts" in storm("count", "recipe=sum").out
        assert "2 cells, 5 artifacts" in storm("count", "-m", "recipe=sum", "total.factor=1,2").out

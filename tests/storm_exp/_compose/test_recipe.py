"""A recipe's rules: what one-word swaps, deletions and typos come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storm_exp.testing.toys.totals import Collect


def test_a_recipe_makes_what_its_graph_says(storm, values):
    assert storm("recipe=sum").code == 0
    assert values() == {"source": 1, "adder": 2, "other": 11, "total": 14}


def test_a_component_is_swapped_in_one_word(storm, values):
    assert storm("recipe=sum", "adder=weighted", "source.value=4").code == 0
    assert values() == {"source": 4, "adder": 8, "other": 14, "total": 26}


def test_a_preset_is_swapped_in_one_word(storm, values):
    assert storm("recipe=sum", "source=three").code == 0
    assert values()["total"] == 3 + 4 + 13


def test_a_second_stage_of_a_menu_is_swapped_by_its_name(storm, values):
    assert storm("recipe=sum", "adder@other=weighted").code == 0
    assert values()["other"] == 2


def test_an_edge_that_the_chosen_component_lacks_is_unused_and_the_plan_says_so(storm, values):
    weighted = ("recipe=sum", "+graph.adder.weight=other", "adder=weighted")
    assert storm(*weighted).code == 0
    assert values()["adder"] == 11
    said = storm("plan", "recipe=sum", "+graph.adder.weight=other")
    assert said.code == 0
    assert "unused: add has no port 'weight' (graph.adder.weight)" in said.out


def test_a_port_that_nothing_in_the_menu_has_is_an_error(storm):
    said = storm("recipe=sum", "+graph.adder.wieght=other")
    assert said.code == 1
    assert "graph.adder.wieght: no component of the menu 'adder' has this port" in said.err
    assert "did you mean 'weight'?" in said.err
    assert "from the override `+graph.adder.wieght=other`" in said.err


def test_null_deletes_a_stage_also_out_of_lists(storm, values):
    assert storm("recipe=sum", "graph.other=null").code == 0
    assert values() == {"source": 1, "adder": 2, "total": 3}


def test_null_deletes_an_edge(storm, values):
    assert storm("recipe=sum", "adder=weighted", "+graph.adder.weight=other").code == 0
    assert values()["adder"] == 11
    assert storm("recipe=sum", "adder=weighted", "+graph.adder.weight=null").code == 0
    assert values()["adder"] == 2


def test_deleting_the_last_stage_of_a_port_names_the_port(storm):
    said = storm("recipe=sum", "+graph.source=null")
    assert said.code == 1
    assert "needs the port 'number' (Value), and no stage is connected to it" in said.err


def test_targets_are_the_sinks(storm, values):
    assert storm("recipe=sum", "graph.total=null").code == 0
    assert set(values()) == {"source", "adder", "other"}


def test_targets_say_what_is_wanted_and_the_rest_is_not_made(storm, values, statuses):
    assert storm("recipe=sum", "targets=[adder]").code == 0
    assert values() == {"source": 1, "adder": 2}


def test_one_target_needs_no_brackets(storm, values):
    assert storm("recipe=sum", "targets=other").code == 0
    assert values() == {"source": 1, "other": 11}


def test_a_stage_that_nothing_needs_is_not_planned(storm, values):
    # Its package is missing, its setting has no value, its forecast refuses: nobody asks it.
    for swap in ("adder=add", "adder.amount=500"):
        assert storm("recipe=sum", "targets=[other]", swap).code == 0
        assert values() == {"source": 1, "other": 11}
    assert (
        storm(
            "recipe=each",
            "targets=[adder]",
            "graph.adder.number=source",
            "source@second=unavailable",
        ).code
        == 0
    )
    assert (
        storm(
            "recipe=each", "targets=[adder]", "graph.adder.number=source", "source@second=from_file"
        ).code
        == 0
    )
    assert values() == {"source": 1, "adder": 2}


def test_a_stage_only_needed_by_an_unused_edge_is_not_made(storm, values):
    edges = ("+graph.adder.weight=extra", "+source@extra=three")
    assert storm("recipe=sum", "adder=weighted", *edges).code == 0
    assert values()["extra"] == 3
    assert storm("recipe=sum", "adder=add", *edges, "+source.x=1").code == 1
    assert (
        storm("recipe=sum", "adder=add", "+graph.adder.weight=lone", "+source@lone=drawn").code == 0
    )
    assert "lone" not in values()


def test_a_port_that_the_settings_leave_idle_makes_no_stage(storm, values):
    edges = ("adder=weighted", "+graph.adder.weight=lone", "+source@lone=drawn")
    assert storm("recipe=sum", *edges, "adder.doubled=true").code == 0
    assert "lone" not in values()
    said = storm("plan", "recipe=sum", *edges, "adder.doubled=true")
    assert "weighted makes no use of its port 'weight' with these settings" in said.out


def test_an_unknown_target_is_an_error(storm):
    said = storm("recipe=sum", "targets=[totl]")
    assert said.code == 1
    assert "targets: no stage 'totl'; did you mean 'total'?" in said.err


@pytest.mark.parametrize("override", ["+addr.amount=3", "+addr=add", "+sorce={value: 2}"])
def test_a_root_key_that_is_no_stage_and_no_section_is_an_error(storm, override):
    said = storm("recipe=sum", override)
    name = override[1:].split("=")[0].split(".")[0]
    assert said.code == 1
    assert f"'{name}' is neither a stage nor a section; did you mean '" in said.err
    assert f"from the override `{override}`" in said.err


def test_a_root_key_of_a_users_recipe_is_checked_too(storm, write_recipe):
    folder = write_recipe("mine", ["sum", "_self_"], {}, addr={"amount": 2})
    said = storm("-cd", folder, "recipe=mine")
    assert said.code == 1
    assert "'addr' is neither a stage nor a section; did you mean 'adder'? (from recipe/mine)" in (
        said.err
    )


@pytest.mark.parametrize("override", ["+runtime.thread=2", "+store.pth=/tmp/x"])
def test_a_key_that_a_section_lacks_is_an_error(storm, override):
    said = storm("recipe=sum", override)
    assert said.code == 1
    assert "did you mean '" in said.err
    assert f"`{override}`" in said.err


def test_a_cycle_is_shown(storm):
    said = storm("recipe=sum", "graph.adder.number=other", "graph.other.number=adder")
    assert said.code == 1
    assert "the stages wait for each other in a cycle: adder → other → adder" in said.err


def test_a_missing_port_is_named(storm):
    said = storm("recipe=sum", "graph.adder.number=null")
    assert said.code == 1
    assert "graph.adder: the component 'add' needs the port 'number' (Value)" in said.err


def test_the_wrong_artifact_type_is_refused_with_the_stages_that_would_fit(storm):
    said = storm("recipe=sum", "+source@word=word", "graph.adder.number=word")
    assert said.code == 1
    assert "graph.adder.number: 'word' makes Text, this port takes Value" in said.err
    assert "stages that make one: " in said.err
    assert "source" in said.err.split("stages that make one: ")[1]


def test_an_edge_to_a_stage_that_is_not_there_is_an_error(storm):
    said = storm("recipe=sum", "graph.adder.number=sorce")
    assert said.code == 1
    assert "graph.adder.number: no stage 'sorce'; did you mean 'source'?" in said.err


@pytest.mark.parametrize("value", ["3", "{a: b}", "[[source]]"])
def test_an_edge_that_names_no_stage_is_an_error_and_no_crash(storm, value):
    said = storm("recipe=sum", f"graph.adder.number={value}")
    assert said.code == 1
    assert said.err.startswith("error: graph.adder.number")


def test_a_graph_entry_that_is_no_stage_is_an_error(storm):
    said = storm("recipe=sum", "+graph.addr={number: source}")
    assert said.code == 1
    assert "graph.addr: no stage has this name; did you mean 'adder'?" in said.err


def test_a_port_given_a_list_maps_also_through_a_mapped_stage(storm, values):
    assert storm("recipe=each").code == 0
    assert values() == {
        "source": 1,
        "second": 3,
        "adder[source]": 2,
        "adder[second]": 4,
        "again[source]": 12,
        "again[second]": 14,
        "total": 26,
    }


def test_adding_an_element_to_a_mapped_stage_makes_one_element(storm, made):
    assert storm("recipe=each", "targets=[adder]").code == 0
    more = ("+source@third=number", "third.value=7", "graph.adder.number=[source,second,third]")
    assert storm("recipe=each", "targets=[adder]", *more).code == 0
    assert made() == {"number": 1, "add": 1}


def test_a_list_of_one_maps_all_the_same(storm, values):
    assert storm("recipe=each", "graph.adder.number=[second]", "targets=[adder]").code == 0
    assert set(values()) == {"second", "adder[second]"}


def test_a_collecting_port_takes_the_same_stage_twice(storm, values):
    assert storm("recipe=sum", "graph.total.numbers=[source,source,adder]").code == 0
    assert values()["total"] == 1 + 1 + 2


def test_ports_that_map_over_different_stages_are_refused(storm):
    edges = ("graph.adder.number=[source,second]", "+graph.adder.weight=[second,source]")
    said = storm("recipe=each", "adder=weighted", *edges)
    assert said.code == 1
    assert "the ports number, weight map over different stages" in said.err


def test_ports_may_map_in_step_over_mapped_stages(storm, values):
    edges = ("graph.again.number=adder", "+graph.again.weight=adder")
    assert storm("recipe=each", "adder@again=weighted", *edges).code == 0
    assert values()["again[source]"] == 4
    assert values()["again[second]"] == 16


def test_a_value_is_traced_to_the_recipe_that_sets_it_or_to_the_preset(storm, write_recipe):
    high = {"override /adder": "high"}
    folder = write_recipe("base", ["sum", "_self_"], {}, adder={"amount": 100})
    write_recipe("over", ["sum", high, "_self_"], {}, adder={"amount": 200})
    write_recipe("near", ["base", "_self_"], {}, source={"value": 3})
    write_recipe("far", ["/recipe/near", "_self_"], {}, source={"value": 2})
    write_recipe("preset", ["sum", high, "_self_"], {}, source={"value": 3})
    preset = Path(folder, "adder/high.yaml")
    preset.parent.mkdir()
    preset.write_text("defaults: [add, _self_]\namount: 300\n", encoding="utf-8")
    found = {
        "base": "recipe/base",
        "near": "recipe/base",
        "far": "recipe/base",
        "over": "recipe/over",
        "preset": "the option adder/high",
    }
    for recipe, where in found.items():
        said = storm("-cd", folder, f"recipe={recipe}")
        assert said.err.endswith(f": the sum would be more than 100 (from {where})\n")


def test_a_users_recipe_overrides_from_a_folder_of_their_own(storm, write_recipe, values):
    folder = write_recipe(
        "mine", ["sum", {"override /adder": "weighted"}, "_self_"], {"other": None}
    )
    for flag in ("-cd", "--config-dir"):
        assert storm(flag, folder, "recipe=mine").code == 0
        assert values() == {"source": 1, "adder": 2, "total": 3}


def test_a_users_recipe_needs_no_graph_and_no_targets(storm, tmp_path: Path, values):
    file = tmp_path / "mine/recipe/one.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\ndefaults: [/source: number]\n", encoding="utf-8")
    assert storm("-cd", str(tmp_path / "mine"), "recipe=one").code == 0
    assert storm("-cd", str(tmp_path / "mine"), "recipe=one", "targets=[source]").code == 0
    assert values() == {"source": 1}


def test_a_users_recipe_may_set_the_seed(storm, write_recipe, record: Callable):
    folder = write_recipe("mine", ["sum", {"override /source": "drawn"}, "_self_"], {}, seed=7)
    assert storm("-cd", folder, "recipe=mine").code == 0
    assert record().cells[0].stages[0].settings["seed"] == 7


def test_a_preset_that_names_no_component_is_an_error_that_says_how(storm, tmp_path: Path):
    preset = tmp_path / "mine/adder/nothing.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("amount: 3\n", encoding="utf-8")
    said = storm("-cd", str(tmp_path / "mine"), "recipe=sum", "adder=nothing")
    assert said.code == 1
    assert "the preset adder/nothing names no component" in said.err


def test_a_component_without_its_package_names_the_extra(storm):
    said = storm("recipe=sum", "source=unavailable")
    assert said.code == 1
    assert "source: the component 'unavailable' needs no_such_package" in said.err
    assert "pip install 'storm-toys[rare]'" in said.err


def test_an_override_of_an_edge_that_is_not_there_says_how_to_add_it(storm):
    said = storm("recipe=sum", "graph.source=null")
    assert said.code == 1
    assert "'graph.source' is not in the graph" in said.err
    assert "write `+graph.source=…`" in said.err


def test_deleting_a_stage_that_is_not_there_is_an_error(storm, write_recipe):
    folder = write_recipe("mine", ["sum", "_self_"], {"totl": None})
    said = storm("-cd", folder, "recipe=mine")
    assert said.code == 1
    assert (
        "graph.totl: no stage has this name; did you mean 'total'? (from recipe/mine)" in said.err
    )


def test_a_sweep_leaves_out_what_is_not_swept_unless_a_target_names_it(plan, monkeypatch):
    monkeypatch.setattr(Collect, "swept", False, raising=False)
    assert "total" in plan("recipe=sum").cells[0].placed
    for cell in plan("-m", "recipe=sum", "source.value=1,2").cells:
        # What only the total needed is made nevertheless.
        assert cell.placed.keys() == {"source", "adder", "other"}
        assert cell.recipe.idle == ["total"]
    for cell in plan("-m", "recipe=sum", "source.value=1,2", "targets=[total]").cells:
        assert cell.placed.keys() == {"source", "adder", "other", "total"}


def test_the_plan_names_the_stages_that_nothing_needs(storm):
    said = storm("plan", "recipe=sum", "targets=[other]")
    assert "not planned, because nothing needs it: adder, total" in said.out


def test_of_a_sweep_only_what_no_cell_needs_is_told_as_not_planned(storm):
    said = storm("plan", "-m", "recipe=sum", "targets=[source],[adder]")
    assert "not planned, because nothing needs it: other, total\n" in said.out


def test_a_plugins_section_is_no_stage_and_holds_its_settings_alone(storm):
    assert storm("plan", "recipe=sum", "chat.template=chatml").code == 0
    for override, words in {
        "+chat.templates=own": ["'chat.templates' is not a setting", "did you mean 'template'"],
        "chat.template=chatlm": ["chat.template='chatlm'", "did you mean 'chatml'"],
        "chat.date=today": ["chat.date='today'", "must be a date"],
        "chat=chatml": ["chat must hold settings"],
        "chat.date.x=1": ["'chat.date.x' is not a setting: chat.date holds a single value (from"],
        "chat.arguments.x=1": ["to add it, write `+chat.arguments.x=…`"],
    }.items():
        said = storm("plan", "recipe=sum", override)
        assert said.code == 2 or said.code == 1
        assert all(word in said.err for word in words), said.err
        assert override in said.err


def test_a_default_from_a_section_is_traced_to_where_the_section_has_it_from(storm):
    said = storm("plan", "recipe=solar_10_7b", "base_model=mistral_7b", "chat.template=chatml")
    assert said.code == 1
    assert said.err.rstrip().endswith("(from the override `chat.template=chatml`)")

"""Presets may lie in folders of their menu, and are named the same everywhere."""

from __future__ import annotations

import pytest


@pytest.fixture
def mine(tmp_path):
    """Return a user's folder: two presets below the menu, one in it, a graph and a recipe."""
    for name, text in {
        "adder/tens/one": "defaults: [add, _self_]\namount: 10.0\n",
        "adder/tens/two": "defaults: [tens/one, _self_]\namount: 20.0\n",
        "adder/twenty": "defaults: [tens/two, _self_]\n",
        "graph/chain": (
            "# @package _global_\ndefaults:\n  - /source: number\n  - /adder: ???\n"
            "graph: {adder: {number: source}}\n"
        ),
        "recipe/chain": (
            "# @package _global_\ndefaults: [/graph/chain, override /adder: tens/two]\n"
        ),
    }.items():
        file = tmp_path / "mine" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return str(tmp_path / "mine")


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["recipe=sum", "adder=tens/one"], "10.0"),
        (["recipe=sum", "adder=tens/two"], "20.0"),
        (["recipe=sum", "adder=twenty"], "20.0"),
        (["recipe=sum", "adder@other=twenty", "adder=tens/one", "adder.amount=3"], "3.0"),
        (["recipe=chain"], "20.0"),
        (["recipe=chain", "adder=tens/one"], "10.0"),
    ],
)
def test_a_preset_of_a_folder_is_named_by_its_path_in_the_menu(storm, mine, words, value):
    said = storm("-cd", mine, *words, "--cfg", "job", "--package", "adder")
    assert said.code == 0, said.err
    assert f"amount: {value}" in said.out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["adder=tens/tow"], "adder=tens/tow: no such option; did you mean 'tens/two'?"),
        (["adder=tens"], "adder=tens: no such option; did you mean 'tens/"),
        (["recipe=summ"], "recipe=summ: no such option; did you mean 'sum'?"),
    ],
)
def test_a_name_that_is_none_is_answered_with_the_nearest_of_any_folder(storm, mine, words, part):
    said = storm("-cd", mine, "recipe=sum", *words)
    assert said.code == 1
    assert part in said.err


def test_a_preset_that_includes_what_is_not_there_is_named_with_what_is(storm, mine, tmp_path):
    wrong = tmp_path / "mine/adder/wrong.yaml"
    wrong.write_text("defaults: [tens/tow, _self_]\n", encoding="utf-8")
    said = storm("-cd", mine, "recipe=sum", "adder=wrong")
    assert said.code == 1
    assert "In 'adder/wrong': Could not load 'adder/tens/tow'; did you mean 'tens/two'?" in said.err


def test_a_sweep_goes_through_presets_of_folders(storm, mine):
    said = storm("-cd", mine, "-m", "recipe=chain", "adder=tens/one,twenty")
    assert said.code == 0, said.err
    assert [line.split() for line in said.out.splitlines()[2:4]] == [
        ["tens/one", "11"],
        ["twenty", "21"],
    ]


def test_a_graph_is_no_menu_and_its_edges_are_values(storm, mine):
    said = storm("plan", "-cd", mine, "recipe=sum", "graph={total: {numbers: [adder]}}")
    assert said.code == 0, said.err
    said = storm("plan", "-cd", mine, "recipe=sum", "graph.adder=null", "+graph.other.weight=null")
    assert said.code == 0, said.err

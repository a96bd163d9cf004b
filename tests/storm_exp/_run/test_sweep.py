"""Sweeps: planned as one, shared nodes made once, one table at the end."""

from __future__ import annotations

import csv

import pytest


def test_what_cells_share_is_made_once(storm, made, tmp_path):
    said = storm("-m", "recipe=sum", "adder.amount=1,2", "total.factor=1,2")
    assert said.code == 0
    assert "4 cells: to make: 1 source, 2 adder, 1 other, 4 total" in said.err
    assert made() == {"number": 1, "add": 3, "collect": 4}
    assert len(list((tmp_path / "outputs/store").glob("artifacts/??/*"))) == 8


def test_a_sweep_over_a_store_that_holds_one_run_makes_the_rest(storm, made):
    assert storm("recipe=sum", "adder.amount=2", "total.factor=2").code == 0
    assert storm("-m", "recipe=sum", "adder.amount=1,2", "total.factor=1,2").code == 0
    assert made() == {"add": 1, "collect": 3}


def test_cells_with_equal_keys_are_one(storm, made):
    assert storm("-m", "recipe=sum", "adder.amount=1,1.0", "source=number,three").code == 0
    assert made() == {"number": 2, "add": 4, "collect": 2}


def test_an_impossible_cell_is_refused_before_the_first_stage_and_named(storm, tmp_path):
    said = storm("-m", "recipe=sum", "adder.amount=1,500")
    assert said.code == 1
    assert "the cell adder.amount=500 cannot run: " in said.err
    assert "adder.amount=500.0: the sum would be more than 100" in said.err
    assert not (tmp_path / "outputs/store").exists()


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("source.value=1,5000", ["the cell source.value=5000 cannot run", "at most 1000"]),
        ("graph.adder.number=source,sorce", ["the cell graph.adder.number=sorce", "'source'?"]),
        ("source=number,unavailable", ["the cell source=unavailable", "'storm-toys[rare]'"]),
        ("adder=add,weigthed", ["adder=weigthed", "did you mean 'weighted'?"]),
        ("source.value=1,many", ["from the override `source.value=many`"]),
    ],
)
def test_whatever_is_wrong_with_a_cell_is_found_before_the_first_stage(
    storm, tmp_path, override, parts
):
    said = storm("-m", "recipe=sum", override)
    assert said.code == 1
    assert all(part in said.err for part in parts)
    assert not (tmp_path / "outputs/store").exists()


def test_a_failing_cell_does_not_stop_the_others(storm, record):
    said = storm("-m", "recipe=sum", "adder=fussy", "source.value=9,1,2")
    assert said.code == 1
    assert "that is too much" in said.err
    totals = [cell.stages[-1].status for cell in record().cells]
    assert totals == ["not reached", "made", "made"]
    assert record().status == "failed"
    assert "failed: adder" in said.out


def test_a_sweep_file_needs_no_m(storm, made):
    assert storm("sweep=amounts").code == 0
    assert made() == {"number": 1, "add": 4, "collect": 3}


def test_a_sweep_file_multiplies_with_further_lists(storm, record):
    said = storm("sweep=amounts", "total.factor=1,2")
    assert said.code == 0
    assert len(record().cells) == 6


def test_a_sweep_file_can_be_overridden_and_applied_to_another_recipe(storm, record):
    assert storm("sweep=amounts", "recipe=each", "adder.amount=4,5").code == 0
    assert [cell.name for cell in record().cells] == ["adder.amount=4", "adder.amount=5"]
    assert record().recipe == "each"


def test_the_table_groups_over_seeds_and_shows_only_what_differs(storm, tmp_path):
    cells = ("source=drawn", "seed=1,2,3", "adder.amount=1,2", "total.factor=1.0")
    said = storm("-m", "recipe=sum", *cells)
    assert said.code == 0
    lines = said.out.splitlines()
    header = next(line for line in lines if line.startswith("adder.amount"))
    assert header.split() == ["adder.amount", "n", "adder", "total"]
    rows = list(csv.DictReader((tmp_path / "outputs/latest/sweep.csv").read_text().splitlines()))
    assert [row["adder.amount"] for row in rows] == ["1", "2"]
    assert [row["cells"] for row in rows] == ["3", "3"]
    drawn = [float(row["source"]) for row in rows]
    assert drawn[0] == drawn[1]
    assert float(rows[0]["adder"]) == pytest.approx(drawn[0] + 1)
    assert float(rows[0]["adder sd"]) == pytest.approx(float(rows[0]["source sd"]))
    assert rows[0]["adder n"] == "3"


def test_every_cell_has_links_to_what_it_made(storm, tmp_path):
    assert storm("-m", "recipe=sum", "adder.amount=1,2").code == 0
    cells = tmp_path / "outputs/latest/cells"
    assert (cells / "adder.amount=1/adder/value.json").read_text() == "2.0"
    assert (cells / "adder.amount=2/adder/value.json").read_text() == "3.0"


def test_cells_share_the_settings_that_they_agree_on(storm):
    said = storm("plan", "-m", "recipe=sum", "adder.amount=1,2", "source=drawn", "seed=0,1")
    assert said.code == 0, said.err
    rows = [line.split()[0] for line in said.out.splitlines()[2:] if line]
    assert (rows.count("source"), rows.count("adder"), rows.count("total")) == (2, 4, 4)

"""Runs have names and tags, are listed, shown and removed."""

from __future__ import annotations

import json

import pytest

SUM = ("recipe=sum",)


def test_name_and_tags_are_in_no_key(storm):
    assert storm(*SUM).code == 0
    named = storm(*SUM, "name=baseline", "tags=[paper,v2]")
    assert "nothing to make" in named.out
    assert (named.record.name, named.record.tags) == ("baseline", ["paper", "v2"])
    assert named.record.directory.name.endswith("-baseline")
    assert storm("-m", *SUM, "adder.amount=1,2", "tags=swept").record.tags == ["swept"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("'name=my run/2'", "name='my run/2': must be a word of at most 80 letters"),
        ("'name=my run/2'", "such as name=my-run-2 (from the override `name=my run/2`)"),
        ("name=../up", "such as name=up (from"),
        ("name=latest", "and not 'latest' (from the override `name=latest`)"),
        ("name=[a]", "name=['a']: must be a word"),
        ("tags=[a,'b c']", "tags='b c': must be a word"),
        (f"name={'x' * 81}", "at most 80"),
        ("name=${nothing}", "name"),
    ],
)
def test_a_name_that_names_no_folder_is_refused(storm, word, message):
    said = storm(*SUM, word.strip("'"))
    assert said.code == 1
    assert message in said.error
    assert storm("plan", *SUM, word.strip("'")).code == 1


def test_cells_have_one_name(storm):
    said = storm("-m", *SUM, "name=a,b")
    assert "name is a in one cell and b in another, and a sweep has one" in said.error


def test_runs_are_found_by_name_tag_and_date(storm):
    assert "no run in outputs" in storm("runs").out
    storm(*SUM, "name=first", "tags=[paper]")
    storm(*SUM, "name=other")
    listed = storm("runs", "ls")
    assert [line.split()[1] for line in listed.out.splitlines()] == ["name", "first", "other"]
    assert "other" not in storm("runs", "ls", "paper").out
    items = json.loads(storm("runs", "ls", "first", "--json").out)["items"]
    assert [(item["name"], item["tags"], item["status"]) for item in items] == [
        ("first", ["paper"], "finished")
    ]


def test_show_says_what_a_run_did_and_where_it_is(storm):
    storm(*SUM, "adder=stored", "name=first", "tags=[paper]")
    shown = storm("runs", "show", "first").out
    for line in ("name     first", "tags     paper", "model    outputs/latest/adder"):
        assert line in shown
    assert "adder=stored name=first 'tags=[paper]'" in shown
    assert storm("runs", "show").out == shown
    assert json.loads(storm("runs", "show", "--json").out)["items"][0]["name"] == "first"
    assert "did you mean 'first'?" in storm("runs", "show", "frist").error


def test_a_removed_run_leaves_its_artifacts_and_latest_leads_on(storm, tmp_path):
    first = storm(*SUM, "name=first").record.directory
    second = storm(*SUM, "name=other").record.directory
    assert storm("runs", "rm", "other").out == f"removed {second.name}\n"
    assert not second.exists()
    assert (tmp_path / "outputs/latest").resolve() == first
    assert storm("runs", "rm", first.name).code == 0
    assert not (tmp_path / "outputs/latest").is_symlink()
    assert "nothing to make" in storm(*SUM).out


def test_several_runs_of_a_part_of_a_name_are_told_apart(storm):
    storm(*SUM)
    storm(*SUM)
    assert "2 runs have 'sum' in their names" in storm("runs", "rm", "sum").error


def test_a_run_that_was_killed_is_listed_and_removed(storm, tmp_path):
    storm(*SUM)
    killed = tmp_path / "outputs/runs/2020-01-01_00-00-00-sum"
    killed.mkdir()
    line = next(line for line in storm("runs").out.splitlines() if killed.name in line)
    assert "no record: it goes on, or it was killed" in line
    assert "it goes on, or it was killed" in storm("runs", "show", killed.name).error
    assert storm("runs", "rm", killed.name).code == 0


def test_every_line_of_the_log_has_a_time(storm):
    made = storm(*SUM, "adder=stored")
    lines = (made.record.directory / "log.txt").read_text(encoding="utf-8").splitlines()
    assert all(line[:4].isdigit() and line[10] == " " and line[13] == ":" for line in lines)
    assert any("adder: made in " in line and line.endswith("value 2") for line in lines)
    assert "made 4 artifacts in " in lines[-1]

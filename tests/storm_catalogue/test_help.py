"""The help of every verb, and the pages about finding things."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from storm_exp import load_plugins
from storm_exp._run.verbs import VERBS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/finding-things.md").read_text(encoding="utf-8")
COMMANDS = [
    command
    for command in re.findall(r"^    storm-exp (.*)$", PAGE, re.M)
    if command != "schema all schemas"  # test_schema.py writes them
]
ALL_VERBS = sorted({**VERBS, **load_plugins().verbs(VERBS)[0]})


@pytest.mark.parametrize("verb", ALL_VERBS)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_of_every_verb_has_the_same_parts(storm, verb, flag):
    said = storm(verb, flag)
    assert said.code == 0
    about, usage, *_ = said.out.split("\n\n")
    assert about.endswith(".")
    assert usage.startswith(f"usage: storm-exp {verb}")
    _, found, examples = said.out.partition("\nfor example:\n")
    assert found, "there are no examples"
    for line in examples.strip().splitlines():
        assert line.strip().startswith(f"storm-exp {verb}")
    assert max(map(len, said.out.splitlines())) <= 100


def test_the_help_names_every_verb_with_what_it_does(storm):
    said = storm("--help").out
    for verb in ALL_VERBS:
        assert re.search(rf"^ +storm-exp {verb} +[A-Z].*\.$", said, re.M), verb


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_does_what_it_says(storm, command):
    words = shlex.split(command)
    said = storm(*words)
    assert said.code == 0, said.err
    if "--json" in words:
        assert json.loads(said.out)["items"]
    else:
        assert said.out.strip()


def test_the_names_in_the_page_and_for_agents_lead_somewhere():
    for page in ("AGENTS.md", "llms.txt"):
        links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text(encoding="utf-8"))
        assert len(links) > 5
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_fields_of_answers_are_those_of_the_page(ask):
    fields = re.findall(r"^\| `(\w+)` \|", PAGE, re.M)
    assert list(ask("list")) == fields


def test_an_error_is_a_field_of_the_answer(storm):
    said = storm("plan", "recipe=strom", "--json")
    assert said.code == 1
    answer = json.loads(said.out)
    assert answer["items"] == []
    assert answer["verb"] == "plan"
    assert "did you mean" in answer["error"]


def test_a_plan_is_parsed(ask):
    answer = ask("plan", "-m", "recipe=smoke", "merger.t=0.25,0.5", "targets=[merger]", "--why")
    merged = [item for item in answer["items"] if item["component"] == "slerp"]
    assert len(merged) == 2
    assert {item["status"] for item in merged} == {"to make"}
    keys = {item["key"] for item in answer["items"]}
    assert all(set(item["inputs"]["models"]) <= keys for item in merged)
    assert any(note.startswith("why merger") for note in answer["notes"])


def test_versions_and_environments_are_parsed(ask, storm):
    versions = {item["name"]: item["version"] for item in ask("version")["items"]}
    assert versions["storm-exp"] == "0.1.0"
    assert json.loads(storm("--version", "--json").out)["items"] == ask("version")["items"]
    names = {item["name"] for item in ask("env", "ls")["items"]}
    assert names >= {"vllm", "llama_cpp"}

"""`--json` of every verb: one object on standard output, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storm_exp import load_plugins
from storm_exp._run.verbs import VERBS
from storm_exp.testing import installed

TOYS = Path(__file__).parents[1] / "toys"
NOT_ANSWERING = {"chat", "serve"}
"""The verbs that talk until they are ended."""
TRAINS = {"ablate"}
"""The verb that takes too long here where it succeeds; tests/storm_evaluation/ablation has it."""
COMMANDS = {
    "compare": "compare latest latest",
    "env": "env ls",
    "list": "list recipes",
    "look": "look rows.jsonl",
    "mergekit": "mergekit merge.yaml",
    "new": "new mine",
    "plan": "plan recipe=sum",
    "push": "push hub me/model --dry-run",
    "rehearse": "rehearse recipe=sum",
    "report": "report",
    "reproduce": "reproduce latest",
    "runs": "runs ls",
    "schema": "schema slerp",
    "show": "show slerp",
    "store": "store ls",
    "track": "track latest tensorboard",
    "version": "version",
}


@pytest.fixture
def folder(storm, tmp_path):
    """A folder with a run, rows, and a model with its card."""
    with installed(TOYS):
        assert storm("recipe=sum").code == 0
        row = {"messages": [{"role": r, "content": "Hi"} for r in ("user", "assistant")]}
        (tmp_path / "rows.jsonl").write_text(json.dumps(row))
        parents = [{"model": name, "parameters": {"weight": 0.5}} for name in ("me/a", "me/b")]
        merge = {"merge_method": "linear", "dtype": "float32", "models": parents}
        (tmp_path / "merge.yaml").write_text(json.dumps(merge))
        (tmp_path / "hub").mkdir()
        for name in ("README.md", "recipe.lock.json", "config.json", "model.safetensors"):
            (tmp_path / "hub" / name).write_text("{}")
        yield tmp_path


def test_every_verb_that_answers_is_tried():
    verbs = {*VERBS, *load_plugins().verbs(VERBS)[0]}
    assert {*COMMANDS, *NOT_ANSWERING, *TRAINS} == verbs


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_verb_prints_one_json_object_and_nothing_else(storm, folder, verb):
    said = storm(*COMMANDS[verb].split(), "--json")
    assert said.code == 0, said.err
    answer = json.loads(said.out)
    assert list(answer) == ["storm_exp", "verb", "items", "notes", "error"]
    assert answer["verb"].split()[0] == verb
    assert answer["items"]


@pytest.mark.parametrize("verb", sorted({*COMMANDS, *TRAINS} - {"version"}))
def test_a_verb_that_fails_prints_its_error_as_json(storm, folder, verb):
    wrong = dict.fromkeys(("ablate", "plan", "rehearse"), "recipe=smu")
    wrong["push"] = "nothing me/model"
    said = storm(verb, *wrong.get(verb, "nothing --nothing").split(), "--json")
    assert said.code == 1
    answer = json.loads(said.out)
    assert answer["error"]
    assert not answer["items"]


def test_an_action_tells_what_it_does_on_standard_error(storm, folder):
    said = storm("rehearse", "recipe=sum", "--json")
    assert "rehearsal passed: 4 stages ran" in said.err
    answer = json.loads(said.out)
    assert [item["stage"] for item in answer["items"]] == ["source", "adder", "other", "total"]
    assert answer["notes"][0].startswith("rehearsal passed")

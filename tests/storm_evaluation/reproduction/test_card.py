"""`storm-exp reproduce CARD`: a model from the lock file beside its card."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from storm_evaluation.reproduction.lock import read_lock
from storm_exp import InputError
from storm_exp.testing import CommandResult
from storm_models.testing import make_model

Command = Callable[..., CommandResult]


def verdict(result: CommandResult) -> str:
    (line,) = [text for text in result.out.splitlines() if text.startswith("verdict")]
    return line.removeprefix("verdict").strip()


@pytest.mark.parametrize("adopted", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_card_that_was_moved_is_reproduced(storm: Command, tmp_path: Path, adopted: bool) -> None:
    first, second = make_model(tmp_path / "first"), make_model(tmp_path / "second", seed=1)
    parents = [f"base_model.path={first}", f"partner.path={second}"]
    if adopted:
        storm("recipe=merge", *parents)
        run = storm(
            "recipe=export", f"base_model.path={tmp_path}/outputs/latest/merger", "targets=[hub]"
        )
    else:
        run = storm("recipe=merge", *parents, "+exporter@hub=hub_folder", "+graph.hub.model=merger")
    assert run.code == 0, run.err
    card = tmp_path / "elsewhere"
    Path(run.stage("hub").directory).rename(card)
    (tmp_path / "outputs").rename(tmp_path / "old")

    result = storm("reproduce", str(card / "README.md"))
    assert re.match(r"cannot say: path(_2)?\.path has no value; give one: path", verdict(result))
    result = storm("reproduce", str(card), f"path.path={first}", f"path_2.path={second}")
    assert verdict(result) == "same bits: all 3 artifacts have the digests that they had"
    assert "environment  not recorded" in result.out
    changed = make_model(tmp_path / "changed", seed=2)
    result = storm("reproduce", str(card), f"path.path={changed}", f"path_2.path={second}")
    assert verdict(result).startswith("different from slerp on: path: what it reads from outside")


STEP = {
    "key": "ab",
    "component": "add",
    "version": 1,
    "artifact": "Value",
    "settings": {"amount": 2.0},
    "inputs": {"number": "cd"},
    "digest": "ef",
    "metrics": {},
}


def with_inputs(inputs: dict[str, object]) -> str:
    return json.dumps({"steps": [{**STEP, "inputs": inputs}]})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("never mind", "is no recipe.lock.json: Expecting value"),
        ("[1]", "is no recipe.lock.json: it has no list `steps`"),
        ('{"steps": []}', "has no steps: how the model was made was not recorded"),
        ('{"steps": [7]}', "step 1 has no key (str)"),
        (json.dumps({"steps": [{**STEP, "inputs": None}]}), "step 1 has no inputs (dict)"),
        (json.dumps({"steps": [STEP]}), "a step is made of cd, which is none of its steps"),
        (with_inputs({"number": 5}), "step 1: inputs.number is no key or list of keys"),
        (with_inputs({"number": None}), "step 1: inputs.number is no key or list of keys"),
        (with_inputs({"number": ["ab", 5]}), "step 1: inputs.number is no key or list of keys"),
        (with_inputs({"number": "ab", "path": "ab"}), "add adopted its own files"),
    ],
)
def test_a_file_that_is_no_lock_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "recipe.lock.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(problem)):
        read_lock(file)


def test_a_card_without_its_lock_is_refused(storm: Command, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# a model", encoding="utf-8")
    result = storm("reproduce", "README.md")
    assert "README.md: there is no recipe.lock.json beside this card" in result.error


def test_stages_of_a_lock_are_named_by_their_components(tmp_path: Path) -> None:
    number = {**STEP, "key": "cd", "component": "number", "settings": {"value": 3.0}, "inputs": {}}
    last = {**STEP, "key": "gh", "inputs": {"number": "ab"}}
    file = tmp_path / "recipe.lock.json"
    file.write_text(json.dumps({"steps": [number, STEP, last]}), encoding="utf-8")
    original = read_lock(file)
    (recipe,) = original.recipes
    assert recipe["graph"] == {
        "number": {},
        "add": {"number": "number"},
        "add_2": {"number": "add"},
    }
    assert recipe["number"] == {"value": 3.0}

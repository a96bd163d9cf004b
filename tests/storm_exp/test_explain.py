"""Errors are for people: the setting, the value, where it came from, and what was meant."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["adder.amont=3"],
            ["'adder.amont' is not a setting", "did you mean 'amount'?", "`adder.amont=3`"],
        ),
        (
            ["+adder.amont=3"],
            ["'adder.amont' is not a setting", "did you mean 'amount'?", "`+adder.amont=3`"],
        ),
        (
            ["source=settled", "+source.inner.dept=3"],
            ["'source.inner.dept' is not a setting", "did you mean 'depth'?"],
        ),
        (["adder=ad"], ["adder=ad: no such option", "did you mean 'add'?"]),
        (["recipe=summ"], ["recipe=summ: no such option", "did you mean 'sum'?"]),
        (["adr=add"], ["'adr' is not a setting", "did you mean 'adder'?"]),
        (["adder@othr=add"], ["othr", "did you mean 'adder@other'?"]),
        (["adder.amount=much"], ["adder.amount", "much", "Float"]),
        (["source.value=2000"], ["source.value=2000.0", "at most 1000", "`source.value=2000`"]),
        (["adder.amount=99.5"], ["adder.amount=99.5", "more than 100", "`adder.amount=99.5`"]),
        (
            ["source=from_file"],
            ["source.path has no value; give one: source.path=…"],
        ),
        (
            ["source=from_file", "source.path=nowhere.txt"],
            ["source.path='nowhere.txt'", "there is no such file", "`source.path=nowhere.txt`"],
        ),
        (["source=settled", "source.shape=OVAL"], ["source.shape", "OVAL", "ROUND"]),
        (["seed=many", "source=drawn"], ["source", "many"]),
        (["adder.amount=[1"], ["cannot read the override `adder.amount=[1`"]),
        (["graph=3"], ["graph"]),
        (["targets=3"], ["targets: no stage '3'"]),
        (["runtime.threads=many"], ["runtime.threads", "'many'", "`runtime.threads=many`"]),
        (["runtime.device=gpu"], ["runtime.device='gpu'", "cuda:N", "`runtime.device=gpu`"]),
    ],
)
def test_an_error_says_what_where_from_and_what_was_meant(storm, tmp_path, overrides, parts):
    recipe = [] if overrides[0].startswith("recipe=") else ["recipe=sum"]
    said = storm(*recipe, *overrides)
    assert said.code == 1
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    for part in parts:
        assert part in said.err
    assert not (tmp_path / "outputs/store/artifacts").exists()


def test_an_error_in_a_users_preset_names_the_preset(storm, tmp_path):
    preset = tmp_path / "mine/source/large.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("defaults: [number, _self_]\nvalue: 5000\n", encoding="utf-8")
    said = storm("-cd", str(tmp_path / "mine"), "recipe=sum", "source=large")
    assert said.code == 1
    assert "source.value=5000.0: must be at most 1000" in said.err
    assert "source=large" in said.err


def test_a_typo_in_a_users_preset_names_the_preset(storm, tmp_path):
    preset = tmp_path / "mine/adder/typo.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("defaults: [add, _self_]\namont: 5\n", encoding="utf-8")
    said = storm("-cd", str(tmp_path / "mine"), "recipe=sum", "adder=typo")
    assert said.code == 1
    assert "amont" in said.err
    assert "did you mean 'amount'?" in said.err
    assert "adder/typo" in said.err


def test_a_typo_in_a_users_recipe_names_the_recipe(storm, write_recipe):
    folder = write_recipe("mine", ["sum", "_self_"], {}, adder={"amont": 5})
    said = storm("-cd", folder, "recipe=mine")
    assert said.code == 1
    assert "did you mean 'amount'?" in said.err
    assert "recipe/mine" in said.err


def test_a_file_that_is_no_yaml_is_named(storm, tmp_path):
    preset = tmp_path / "mine/adder/broken.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("amount: [1\n", encoding="utf-8")
    said = storm("-cd", str(tmp_path / "mine"), "recipe=sum", "adder=broken")
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "broken.yaml" in said.err


def test_the_most_particular_override_is_named(storm):
    said = storm("recipe=sum", "source=number", "source.value=2000")
    assert "from the override `source.value=2000`" in said.err


def test_an_unknown_verb_is_told(storm):
    said = storm("plann")
    assert said.code == 1
    assert "error: no verb 'plann'; did you mean 'plan'?" in said.err


def test_a_bug_keeps_its_traceback(storm, monkeypatch):
    from storm_exp import run

    def buggy(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(run, "make_plan", buggy)
    with pytest.raises(ZeroDivisionError):
        storm("recipe=sum")

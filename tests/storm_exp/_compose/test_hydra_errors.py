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
        (["adder=ad"], ["adder=ad: no such option", "did you mean 'add'?", "`adder=ad`"]),
        (["recipe=summ"], ["recipe=summ: no such option", "did you mean 'sum'?", "`recipe=summ`"]),
        (["adr=add"], ["'adr' is not a setting", "did you mean 'adder'?"]),
        (["adder@othr=add"], ["othr", "did you mean 'adder@other'?"]),
        (["adder.amount=much"], ["adder.amount='much': must be a number", "`adder.amount=much`"]),
        (["adder.amount=null"], ["adder.amount: must not be null"]),
        (["source=settled", "source.count=1.5"], ["source.count='1.5': must be a whole number"]),
        (["source=settled", "source.title=[1]"], ["source.title='[1]': must be a text"]),
        (["source=settled", "source.parts=1"], ["source.parts: must be a list, such as [a,b]"]),
        (["source=settled", "source.weights=[1]"], ["source.weights: must be a dict, such as {"]),
        (["source=settled", "source.weights.y=x"], ["source.weights.y='x': must be a number"]),
        (["source=settled", "source.inner=1"], ["source.inner: must be a dict, such as {"]),
        (["source.value=2000"], ["source.value=2000.0", "at most 1000", "`source.value=2000`"]),
        (["adder.amount=99.5"], ["adder.amount=99.5", "more than 100", "`adder.amount=99.5`"]),
        (
            ["source=from_file"],
            ["source.path has no value; give one: source.path=… (a file", "`source=from_file`"],
        ),
        (
            ["source=from_file", "source.path=nowhere.txt"],
            ["source.path='nowhere.txt'", "there is no such file", "`source.path=nowhere.txt`"],
        ),
        (
            ["source=settled", "source.shape.count=3"],
            [
                "'source.shape.count' is not a setting: source.shape holds a single value",
                "did you mean 'source.count'?",
                "`source.shape.count=3`",
            ],
        ),
        (
            ["adder.amount.x.y=3"],
            ["'adder.amount.x.y' is not a setting: adder.amount holds a single value (from"],
        ),
        (
            ["source=settled", "source.parts.first=3"],
            ["the override `source.parts.first=3`: 'first' is no place in a list"],
        ),
        (["source=settled", "source.shape=ROUN"], ["source.shape='ROUN'", "SQUARE", "'ROUND'?"]),
        (["seed=many", "source=drawn"], ["seed='many': must be a whole number"]),
        (["adder.amount=[1"], ["cannot read the override `adder.amount=[1`"]),
        (
            ["source=settled", "source.title=a {out}"],
            ["put the value in quotes of its own, as in 'source.title=\"a {out}\"'"],
        ),
        (
            ["-cd", ".", "plan", "recipe=sum"],
            ["`plan`: a verb comes first, and there is one alone: storm-exp plan …"],
        ),
        (["sum"], ["an override is written name=value; did you mean recipe=sum?"]),
        (["adder.amount=1,2"], ["adder.amount=1,2 gives several values: for a sweep add -m"]),
        (["sweep=amount"], ["sweep=amount: no such option; did you mean 'amounts'?"]),
        (["other=weighted"], ["to choose its component write adder@other=weighted"]),
        (["+adder.amount=3"], ["'adder.amount' is in this recipe: to change it, leave out the +"]),
        (["~adder"], ["~adder: to leave a stage out, write graph.adder=null"]),
        (["graph.adder.number=null"], ["port 'number'", "`graph.adder.number=null`"]),
        (["graph=3"], ["graph"]),
        (["targets=3"], ["targets: no stage '3'", "`targets=3`"]),
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
    preset = tmp_path / "mine/source/vast.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("defaults: [number, _self_]\nvalue: 5000\n", encoding="utf-8")
    said = storm("-cd", str(tmp_path / "mine"), "recipe=sum", "source=vast")
    assert said.code == 1
    assert "source.value=5000.0: must be at most 1000" in said.err
    assert "source=vast" in said.err


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plann"], "no verb 'plann'; did you mean 'plan'?"),
        (["sum"], "no verb 'sum'; did you mean recipe=sum?"),
        (["recpie=sum"], "'recpie' is not a setting; did you mean 'recipe'?"),
        (["adder.amount=1"], "no recipe is chosen: give one with recipe=NAME ("),
    ],
)
def test_a_command_line_without_a_recipe_says_how_to_name_one(storm, words, said):
    found = storm(*words)
    assert found.code == 1
    assert f"error: {said}" in found.err


def test_a_directory_in_the_place_of_an_option_is_answered_with_the_way_to_give_one(storm):
    for folder in ("models/mine", "/models/mine"):
        said = storm("recipe=storm", f"base_model={folder}")
        assert f" base_model=path base_model.path={folder}" in said.err


@pytest.mark.parametrize(
    ("word", "right"),
    [
        ("base_model=Qwen/Qwen3-0.6B", "base_model=hub base_model.repo=Qwen/Qwen3-0.6B or"),
        ("dataset=some/chats", "dataset=hub_chat dataset.sources=[some/chats] or"),
        ("dataset=chats.jsonl", "dataset=chat_jsonl dataset.path=chats.jsonl or"),
        ("finetuner.lr=1e-5", "did you mean 'learning_rate'?"),
        ("finetuner.optimizer.learning_rate=1e-3", "did you mean 'finetuner.learning_rate'?"),
        ("finetuner.optimizer.lr=1e-3", "did you mean 'finetuner.learning_rate'?"),
        ("finetuner.optim.lr=1e-3", "did you mean 'finetuner.learning_rate'?"),
        ("finetuner.lora.rank=8", "did you mean 'finetuner.trainable.rank'?"),
    ],
)
def test_what_users_of_other_tools_write_is_answered_with_our_way(storm, word, right):
    said = storm("recipe=storm", word)
    assert said.code == 1
    assert right in said.err


def test_a_recipe_without_its_package_line_is_told_the_line(storm, tmp_path):
    recipe = tmp_path / "mine/recipe/own.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("defaults:\n  - /adder: add\ngraph:\n  adder: {}\n", encoding="utf-8")
    for setting in ((), ("adder.amount=1",)):
        said = storm("-cd", str(tmp_path / "mine"), "recipe=own", *setting)
        assert said.code == 1
        assert "the first line of a recipe's file must be `# @package _global_`" in said.err


def test_a_preset_with_the_package_line_of_a_recipe_is_named(storm, tmp_path):
    preset = tmp_path / "mine/adder/own.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\ndefaults: [add, _self_]\namount: 2\n", encoding="utf-8")
    said = storm("-cd", str(tmp_path / "mine"), "recipe=sum", "adder=own")
    assert said.code == 1
    assert "adder=own: the first line of its file must not be `# @package _global_`" in said.err


def test_a_bug_is_told_in_a_few_words_and_its_traceback_kept(storm, monkeypatch, tmp_path):
    from storm_exp._run import run

    def buggy(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(run, "make_plan", buggy)
    said = storm("recipe=sum", "seed=3")
    assert said.code == 1
    assert "error: an unexpected failure: ZeroDivisionError: a bug" in said.err
    assert "command: storm-exp recipe=sum seed=3" in said.err
    assert "Please report it" in said.err
    assert "Traceback" not in said.err
    [file] = (tmp_path / "outputs").glob("traceback-*.txt")
    assert f"the traceback is in outputs/{file.name}" in said.err
    assert "in buggy" in file.read_text()
    monkeypatch.setenv("STORM_EXP_TRACEBACK", "1")
    assert "Traceback (most recent call last)" in storm("recipe=sum").err


def test_a_bug_in_the_explanation_hides_no_error(storm, monkeypatch, tmp_path):
    from storm_exp._compose import hydra_errors
    from storm_exp._run import run

    def buggy(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(run, "make_plan", buggy)
    monkeypatch.setattr(hydra_errors, "explain", lambda error: {}[1])
    said = storm("recipe=sum")
    assert "error: an unexpected failure: KeyError" in said.err
    [file] = (tmp_path / "outputs").glob("traceback-*.txt")
    assert "ZeroDivisionError: a bug" in file.read_text()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["source.value=1e400"], "source.value='inf': must be a finite number (from the override"),
        (["source.value=nan"], "source.value='nan': must be a finite number"),
        (["source.value=${oc.env:HOME}"], "(from the override `source.value=${oc.env:HOME}`)"),
        (["source=settled", f"source.count={'9' * 20}"], "must be a number of at most 18 digits"),
        (["source=settled", "source.count=8.0"], "source.count='8.0': must be a whole number"),
        (["source=settled", "source.shape=round"], "did you mean 'ROUND'?"),
        (["source=settled", "source.weights={_target_: 1}"], "import paths are not settings"),
        (["source.value=${source.value}"], "source.value=${source.value}"),
        (["source.value=${nowhere}"], "source.value=${nowhere}"),
        (["graph=${graph}"], "graph: Recursive interpolation detected"),
        (["graph.adder.number=[source,source]"], "'source' is named twice"),
        (["outputs=''"], "outputs='': must be a folder"),
        (["outputs=~/runs"], "no shell expands ~ here; write 'outputs=\"/"),
        (["targets=null"], "targets"),
        (["adder.amount = 3"], "there must be no space around the '=': write adder.amount=3"),
        (["adder=add,weighted"], "adder=add,weighted names several options: for a sweep add -m"),
        (["recipe=a/b"], "recipe=a/b: no such option; known are:"),
    ],
)
def test_what_composes_and_could_not_work_is_refused_when_it_is_planned(storm, words, part):
    said = storm("plan", "recipe=sum", *words)
    assert said.code == 1
    assert part in said.err


def test_a_value_of_this_machines_environment_in_a_key_is_told(storm, monkeypatch):
    monkeypatch.setenv("MY_TITLE", "here")
    said = storm("plan", "recipe=sum", "source=settled", "source.title=${oc.env:MY_TITLE}")
    assert "source.title is read from this machine's environment, and its value" in said.out


def test_a_semantic_difference_of_kind_is_no_agreement_of_cells(storm):
    said = storm("plan", "-m", "recipe=sum", "source=settled", "source.title=1,'1',true")
    rows = [line.split()[2] for line in said.out.splitlines() if line.startswith("source ")]
    assert len(rows) == len(set(rows)) == 2, "1 and '1' are one title, true is another"

"""The other names of settings in `other_names.yaml` lead to settings that exist."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf, open_dict

from storm_exp import ComposeError, read_bounds
from storm_exp._compose.presets import new_setting
from storm_exp._compose.provenance import Origins
from storm_exp._compose.settings import check_keys
from storm_exp._contract.plugins import load_plugins
from storm_exp.testing import run

OTHER_NAMES = Path(__file__).parents[2] / "conf" / "other_names.yaml"
NAMES = yaml.safe_load(OTHER_NAMES.read_text(encoding="utf-8"))
EVERYWHERE = NAMES["settings"]["*"]
FORMATS = {"auto", "float32", "bfloat16", "float16", "bfloat16_mixed"}
"""What a format of numbers is called, wherever one is chosen."""


def groups() -> dict[str, list[set[str]]]:
    """Return the names of settings of the same level, by component."""

    def walk(cls: type) -> list[set[str]]:
        hints = typing.get_type_hints(cls)
        names = {field.name for field in dataclasses.fields(cls)}
        return [names] + [
            inner
            for name in sorted(names)
            if dataclasses.is_dataclass(hints[name])
            for inner in walk(typing.cast(type, hints[name]))
        ]

    return {name: walk(found.cls) for name, found in load_plugins().components.items()}


@pytest.mark.parametrize(("old", "new"), EVERYWHERE.items())
def test_the_new_name_is_one_of_a_component_that_lacks_the_old(old, new):
    known = [names for every in groups().values() for names in every]
    assert any(new in names for names in known)
    assert not any(old in names and new in names for names in known)


@pytest.mark.parametrize(
    ("component", "old", "new"),
    [
        ("sft", "accumulation", "gradient_accumulation_steps"),
        ("sft", "parameters", "trainable"),
        ("sft", "lr", "learning_rate"),
        ("sft", "per_device_train_batch_size", "batch_size"),
        ("dpo", "gradient_clip", "max_grad_norm"),
        ("answers", "new_tokens", "max_new_tokens"),
        ("zero_shot", "precision", "dtype"),
        ("importance", "token_step", "pad_to_multiple_of"),
    ],
)
def test_an_old_name_is_answered_with_the_new_one(component, old, new):
    (names, *_) = groups()[component]
    assert new_setting(component, old, sorted(names)) == new


def test_another_name_that_is_added_is_answered_with_ours_too():
    stage = OmegaConf.structured(load_plugins().component("sft").cls)
    with open_dict(stage):
        stage.lr = 1e-4
    origins = Origins("", ["+finetuner.lr=1e-4"], {}, {})
    told = r"'finetuner\.lr' is not a setting; did you mean 'learning_rate'\? \(from the override"
    with pytest.raises(ComposeError, match=told):
        check_keys(stage, "finetuner", origins)


def test_a_name_that_others_had_is_not_taken_for_an_old_one():
    (names, *_) = groups()["mergekit"]
    assert new_setting("mergekit", "longest", sorted(names)) is None


def choices() -> dict[str, list[str]]:
    """Return the values of every setting that has a choice, by `component.setting`."""

    def walk(cls: type, path: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        hints = typing.get_type_hints(cls)
        for name in (field.name for field in dataclasses.fields(cls)):
            bounds = read_bounds(cls, name, hints[name])
            if dataclasses.is_dataclass(hints[name]):
                found |= walk(typing.cast(type, hints[name]), f"{path}.{name}")
            elif bounds and bounds.one_of:
                found[f"{path}.{name}"] = [getattr(v, "name", str(v)) for v in bounds.one_of]
        return found

    plugins = load_plugins()
    classes = {name: each.cls for name, each in plugins.components.items()} | plugins.sections()
    return {path: names for name, cls in classes.items() for path, names in walk(cls, name).items()}


def test_formats_of_numbers_have_the_same_names_everywhere():
    formats = {
        path: set(names)
        for path, names in choices().items()
        if FORMATS & set(names) - {"auto"} or path.endswith(("dtype", "precision"))
    }
    assert {"sft.precision", "zero_shot.dtype", "new_model.dtype", "inference.dtype"} <= set(
        formats
    )
    assert {path for path, names in formats.items() if not names <= FORMATS} == set()


@pytest.mark.parametrize(("old", "words"), NAMES["values"].items())
def test_another_word_of_a_value_leads_to_one_that_a_setting_has(old, words):
    some = choices().values()
    for word in words.split():
        assert any(word in names and old not in names for names in some)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("finetuner.precision=32", "float32"),
        ("finetuner.precision=bf16-mixed", "bfloat16_mixed"),
        ("finetuner.precision=bf16", "bfloat16"),
        ("finetuner.precision=fp32", "float32"),
        ("judge.dtype=fp16", "float16"),
        ("inference.dtype=bf16", "bfloat16"),
        ("exporter.types=[bfloat16]", "bf16"),
        ("exporter.types=[fp32]", "f32"),
    ],
)
def test_an_old_word_of_a_format_is_answered_with_the_new_one(tmp_path, typed, meant):
    result = run(tmp_path, "plan", "recipe=storm", "+exporter=gguf", typed)
    assert result.code == 1
    assert f"did you mean '{meant}'?" in result.err
    assert f"(from the override `{typed}`)" in result.err

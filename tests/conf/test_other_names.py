"""The other names of settings in `other_names.yaml` lead to settings that exist."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf, open_dict

from storm_exp import ComposeError
from storm_exp._compose.presets import new_setting
from storm_exp._compose.provenance import Origins
from storm_exp._compose.settings import check_keys
from storm_exp._contract.plugins import load_plugins

OTHER_NAMES = Path(__file__).parents[2] / "conf" / "other_names.yaml"
EVERYWHERE = yaml.safe_load(OTHER_NAMES.read_text(encoding="utf-8"))["settings"]["*"]


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

"""An error in a stage says which setting brought it about, and where that came from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from storm_exp import InputError, SettingError
from storm_exp._compose.provenance import Origins

ORIGINS = Origins(
    recipe="own",
    overrides=["dataset.path=A", "base_model.path=/models/nu", "scanner.files.table=/t/x.json"],
    choices={"dataset": "dataset/chat_jsonl", "curator": "curator/storm/own"},
    menus={},
)


@dataclasses.dataclass
class Files:
    table: str = "/t/x.json"


@dataclasses.dataclass
class Settings:
    path: str = "/models/nu"
    name: str = "own"
    files: Files = dataclasses.field(default_factory=Files)


def test_a_setting_at_fault_is_named_with_its_stage_and_origin() -> None:
    said = ORIGINS.locate(SettingError("path", "A", "is none"), "dataset")
    assert said == "dataset.path='A': is none (from the override `dataset.path=A`)"


def test_settings_that_bring_an_error_about_are_told_behind_it() -> None:
    error = InputError("no row is left", difficulties=["medium", "hard"], min_education=3.0)
    assert ORIGINS.locate(error, "curator") == (
        "curator: no row is left (curator.difficulties=[medium,hard] from the option "
        "curator/storm/own; curator.min_education=3.0 from the option curator/storm/own)"
    )


@pytest.mark.parametrize("named", ["/models/nu", "/models/nu/config.json"])
def test_a_path_that_an_error_names_is_traced_to_its_setting(named: str) -> None:
    said = ORIGINS.locate(InputError(f"{named}: no config"), "base_model", settings=Settings())
    assert said == (
        f"base_model: {named}: no config "
        "(base_model.path=/models/nu from the override `base_model.path=/models/nu`)"
    )


def test_a_path_in_a_setting_of_a_setting_is_traced_too() -> None:
    said = ORIGINS.locate(InputError("/t/x.json: no table"), "scanner", settings=Settings())
    assert "(scanner.files.table=/t/x.json from the override `" in said


@pytest.mark.parametrize("text", ["/models/nude: no config", "my own /models: no config"])
def test_a_text_that_names_no_setting_s_path_is_left_as_it_is(text: str) -> None:
    assert ORIGINS.locate(InputError(text), "base_model", settings=Settings()) == (
        f"base_model: {text}"
    )


def test_a_relative_path_is_traced_where_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = InputError(f"{tmp_path}/A: expected train.parquet")
    assert ORIGINS.locate(error, "dataset", settings=Settings(path="A")).endswith("train.parquet")
    (tmp_path / "A").mkdir()
    said = ORIGINS.locate(error, "dataset", settings=Settings(path="A"))
    assert said.endswith("(dataset.path=A from the override `dataset.path=A`)")


def test_a_stage_that_maps_is_named_with_its_element() -> None:
    said = ORIGINS.locate(InputError("no answers"), "evaluator", "evaluator[merger]")
    assert said == "evaluator[merger]: no answers"

"""The lineage on the card of a model that was exported from a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storm_exp.testing import run
from storm_models.testing import make_checkpoint

NOT_RECORDED = "how it was made is not recorded"


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models, and a run that merged them."""
    folder = tmp_path_factory.mktemp("merged")
    for seed, name in enumerate(("A", "B")):
        make_checkpoint(folder / name, seed=seed)
    assert run(folder, "recipe=merge", "base_model.path=A", "partner.path=B").code == 0
    return folder


def exported(folder: Path, model: str) -> tuple[list[str], str, str]:
    """Export a model for the hub; returns its components, its card, and what the run said."""
    result = run(folder, "recipe=export", f"base_model.path={model}", "targets=[hub]")
    assert result.code == 0, result.err
    hub = folder / "outputs/latest/hub"
    lock = json.loads((hub / "recipe.lock.json").read_text("utf-8"))
    card = (hub / "README.md").read_text("utf-8")
    return [step["component"] for step in lock["steps"]], card, result.out + result.err


def test_a_stage_of_a_run_that_is_exported_by_its_path_has_its_lineage(merged: Path) -> None:
    merger = (merged / "outputs/latest/merger").resolve()
    components, card, said = exported(merged, "outputs/latest/merger")
    assert components == ["path", "path", "slerp", "path"]
    assert "slerp" in card and "recorded" not in said
    # The two models that were merged are folders.
    assert card.count(NOT_RECORDED) == 2
    # The next run has no such stage, and what was made stays whole.
    weights = merged / "outputs/latest/base_model/model.safetensors"
    assert weights.resolve() == merger / "model.safetensors"
    # From there it can be exported again.
    components, _, _ = exported(merged, "outputs/latest/base_model")
    assert components == ["path", "path", "slerp", "path"]


def test_a_model_of_a_plain_folder_is_said_to_have_no_lineage(merged: Path) -> None:
    components, card, said = exported(merged, "A")
    assert components == ["path"]
    assert card.count(NOT_RECORDED) == 1 and NOT_RECORDED in said

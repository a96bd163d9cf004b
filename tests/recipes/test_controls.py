"""Controls of shipped recipes: what stands in for a step differs from it in the factor alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from storm_exp.testing import command_line

WITH_CURATION = (
    *("smoke", "storm", "storm_own", "storm_8b", "storm_phi3", "storm_smollm2"),
    *("birbal", "birbal_7b"),
)


def shown(folder: Path, *words: str) -> dict[str, Any]:
    """Return the value of every setting of a recipe, by its path."""
    said = command_line.run(folder, "show", *words, "--settings", "--json")
    assert said.code == 0, said.err
    (recipe,) = json.loads(said.out)["items"]
    return {each["path"]: each["value"] for each in recipe["settings"]}


@pytest.mark.parametrize("recipe", WITH_CURATION)
def test_a_control_of_curation_draws_from_the_rows_that_the_recipe_draws_from(tmp_path, recipe):
    own = shown(tmp_path, f"recipe={recipe}")
    control = own["ablation.controls.curation"]
    other = shown(tmp_path, f"recipe={recipe}", *control["overrides"])
    both = [path for path in own.keys() & other.keys() if path.startswith("curator.")]
    assert {path: other[path] for path in both} == {path: own[path] for path in both}

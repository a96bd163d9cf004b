"""Paths of settings that lead nowhere."""

from __future__ import annotations

import pytest

from storm_exp import SettingError
from storm_models.folder.existing_path import existing_path


def test_a_stage_of_a_sweep_is_found_in_the_folder_of_its_cells(tmp_path):
    (tmp_path / "latest/cells/merger.t=0.3/merger").mkdir(parents=True)
    with pytest.raises(SettingError, match=r"is a sweep: give the path of a model in .*/cells"):
        existing_path("path", str(tmp_path / "latest/merger"))
    assert existing_path("path", str(tmp_path / "latest/cells/merger.t=0.3/merger")).is_dir()


def test_another_path_that_leads_nowhere_is_no_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in ("models/mine", "mine", str(tmp_path / "mine")):
        with pytest.raises(SettingError) as refusal:
            existing_path("path", value)
        assert "sweep" not in str(refusal.value)
        assert "there is no" in str(refusal.value)

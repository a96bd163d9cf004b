"""Merges from the command line: a sweep writes none, a run of one recipe writes its own."""

import json

import pytest

from end_to_end.workplace import Workplace
from storm_models.testing import make_checkpoint


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A folder after a sweep over t, and the words of the recipe."""
    folder = tmp_path_factory.mktemp("runs")
    one, two = (make_checkpoint(folder / name, seed=ord(name)).directory for name in "ab")
    words = ["recipe=merge", f"base_model.path={one}", f"partner.path={two}"]
    place = Workplace(folder / "work")
    place.run("-m", *words, "merger.t=0.2,0.4,0.6")
    return place, words


def components(place):
    files = (place.folder / "outputs/store/artifacts").glob("??/*/manifest.json")
    return sorted(json.loads(file.read_text())["component"] for file in files)


def test_a_sweep_writes_no_weights_and_measures_angles_once(swept):
    place, _ = swept
    assert place.made() == {"base_model": 1, "partner": 1, "merger": 3}
    assert components(place) == ["angles", "path", "path", "slerp", "slerp", "slerp"]
    weights = (place.folder / "outputs/store").rglob("*.safetensors")
    assert all(file.is_symlink() for file in weights), "those of the parents, where they lie"
    cells = place.folder / "outputs/latest/cells"
    assert sorted(link.name for link in cells.glob("*/merger")) == ["merger"] * 3


def test_the_winner_run_by_itself_is_a_model_directory(swept):
    place, words = swept
    assert "nothing to make" in place.run(*words, "merger.t=0.4")
    merged = place.folder / "outputs/latest/merger"
    assert (merged / "model.safetensors").is_file()
    assert components(place).count("written") == 1


@pytest.mark.slow
def test_cells_that_another_launcher_starts_write_no_weights_either(swept, tmp_path):
    place = Workplace(tmp_path / "work")
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]
    place.run("-m", *swept[1], "merger.t=0.2,0.4", *launcher)
    assert components(place) == ["angles", "path", "path", "slerp", "slerp"]

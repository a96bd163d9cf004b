"""The recipe on a model directory and a chat file that no plugin made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace
from storm_data.testing import make_chats
from storm_models.testing import make_model

QUICK = [
    "finetuner.steps=4",
    "partner.steps=4",
    "curator.min_education=1",
    "curator.difficulties=[easy,medium,hard]",
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small Qwen2 that transformers built, and chats about the standard library."""
    folder = tmp_path_factory.mktemp("own")
    return make_model(folder / "model"), make_chats(folder / "chats.jsonl", rows=120)


@pytest.mark.slow
def test_the_whole_recipe_runs_on_a_directory_and_a_file(
    own: tuple[Path, Path], place: Workplace
) -> None:
    model, chats = own
    with chats.open("a", encoding="utf-8") as stream:
        stream.write("this is no JSON\n")
    arguments = ["recipe=storm_own", f"base_model.path={model}", f"dataset.path={chats}", *QUICK]
    output = place.run(*arguments)
    assert "own model" in output
    stages = {(s["stage"], s["element"]): s for s in place.stages()}
    weights = Path(stages["base_model", ""]["directory"]) / "model.safetensors"
    assert weights.resolve() == model / "model.safetensors"  # linked, not copied
    assert stages["comparison", ""]["status"] == "made"
    funnel = json.loads(
        (Path(stages["dataset", ""]["directory"]) / "funnel.json").read_text(encoding="utf-8")
    )
    assert sum(funnel["rejected"].values()) == 1
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merged = place.folder / "outputs/latest/merger"
    assert AutoModelForCausalLM.from_pretrained(merged).config.model_type == "qwen2"
    assert AutoTokenizer.from_pretrained(merged).chat_template
    assert "nothing to make" in place.run(*arguments)


def test_two_checkpoints_are_merged_in_one_step(own: tuple[Path, Path], place: Workplace) -> None:
    model, _ = own
    other = make_model(place.folder / "other", seed=1)
    place.run("recipe=merge", f"base_model.path={model}", f"partner.path={other}", "merger.t=0.3")
    assert place.made() == {"base_model": 1, "partner": 1, "merger": 1}
    assert (place.folder / "outputs/latest/merger/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("base_model.path=nowhere", ["base_model.path", "nowhere"]),
        ("dataset.path=nowhere.jsonl", ["dataset.path", "nowhere.jsonl"]),
        ("merger.t=1.5", ["merger.t=1.5", "0", "1", "override"]),
        ("curator.min_education=9", ["curator.min_education=9"]),
        ("merger.tt=0.5", ["merger.tt", "did you mean 't'"]),
        ("curator.difficulties=[medum]", ["curator.difficulties", "medum"]),
    ],
)
def test_bad_settings_are_refused_before_anything_runs(
    own: tuple[Path, Path], place: Workplace, change: str, words: list[str]
) -> None:
    model, chats = own
    arguments = ["recipe=storm_own", f"base_model.path={model}", f"dataset.path={chats}"]
    output = place.run(*arguments, change, code=1)
    (error,) = [line for line in output.splitlines() if line.startswith("error:")]
    for word in words:
        assert word in error
    assert not (place.folder / "outputs/store/artifacts").exists()

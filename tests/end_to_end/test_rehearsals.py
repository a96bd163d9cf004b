"""Every recipe at full size runs end to end on twins, and a rehearsal names what fails."""

from __future__ import annotations

import json
import sys

import pytest

from end_to_end.workplace import Workplace
from storm_data.testing import make_chats
from storm_exp._compose.presets import config_folder
from storm_models.testing import make_checkpoint, make_model

pytestmark = pytest.mark.timeout(1200)

FULL_SIZE = (
    "storm_8b",
    "storm_qwen2_7b",
    "storm_gemma2_9b",
    "storm_phi3",
    "solar_10_7b",
    "minitron_4b_width",
    "minitron_4b_depth",
    "tinyllama_1_1b",
    "birbal_7b",
)
ONES_OWN = {"storm_own", "sft", "dpo", "pretrain", "distil", "evaluate", "curate", "merge"}
ONES_OWN |= {"prune", "export", "merge_yaml", "decontaminate"}
"""Recipes whose model or data are the user's (docs/cookbook.md, docs/mergekit.md)."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Workplace:
    """Return one workplace, whose twins the recipes share."""
    return Workplace(tmp_path_factory.mktemp("rehearsals"))


@pytest.fixture
def work(tmp_path) -> Workplace:
    return Workplace(tmp_path / "work")


def rehearse(work: Workplace, *arguments: str, code: int = 0, **environment: str) -> str:
    return work.run("rehearse", *arguments, code=code, **environment)


def test_no_recipe_at_full_size_is_left_out():
    shipped = {file.stem for file in (config_folder() / "recipe").glob("*.yaml")}
    assert shipped - ONES_OWN == set(FULL_SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", FULL_SIZE)
def test_a_recipe_at_full_size_rehearses(shared, recipe):
    said = rehearse(shared, f"recipe={recipe}")
    assert "rehearsal passed" in said
    assert not (shared.folder / "outputs/latest").exists()
    run = json.loads((shared.folder / "outputs/rehearsals/latest/run.json").read_text())
    assert run["scale"] == "rehearsal on twins"
    stages = [stage for cell in run["cells"] for stage in cell["stages"]]
    assert {stage["status"] for stage in stages} <= {"made", "kept"}
    assert any(stage["component"] in ("model_twin", "new_model") for stage in stages)


@pytest.mark.slow
def test_static_eight_bits_at_full_size_rehearse(shared):
    said = rehearse(shared, "recipe=storm_8b", "compressor=fp8_static", "targets=[compressor]")
    assert "compressor (fp8_static): samples 512 → 8, max_length 2048 → 256" in said
    assert "rehearsal passed" in said


@pytest.mark.slow
def test_an_importance_matrix_rehearses(shared):
    words = ("+scanner@matrix=importance_matrix", "+graph.matrix={model: merger, data: curator}")
    said = rehearse(shared, "recipe=storm_8b", *words, "targets=[matrix]")
    assert "matrix (importance_matrix): samples 512 → 8, max_length 2048 → 256" in said
    assert "rehearsal passed" in said


def test_a_missing_chat_template_is_named(work):
    said = rehearse(work, "recipe=storm_8b", "base_model=llama_3_1_8b", code=1)
    assert "judge: " in said
    assert "chat template" in said


def test_answers_beyond_the_context_are_named(work):
    said = rehearse(work, "recipe=storm_phi3", "evaluator.max_new_tokens=5000", code=1)
    assert "max_new_tokens.leaderboard_ifeval=5000" in said
    assert "prompt and answer together can have 4096" in said


def test_a_package_that_a_task_needs_is_named(work, tmp_path):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, package=None: "
        "None if name == 'langdetect' else find(name, package)\n"
    )
    path = ":".join([str(hidden), *filter(None, sys.path)])
    said = rehearse(work, "recipe=storm_8b", code=1, PYTHONPATH=path)
    assert "langdetect" in said
    assert "leaderboard_ifeval" in said


@pytest.mark.slow
def test_rows_of_another_schema_are_named(work, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    rows = [json.dumps({"colour": "red", "number": number}) for number in range(20)]
    (source / "rows.jsonl").write_text("\n".join(rows))
    words = ("dataset=hub_chat", f"dataset.sources={{mine: '{source}'}}")
    said = rehearse(work, "recipe=storm_8b", *words, code=1)
    assert "the rehearsal failed in dataset: " in said
    assert "colour" in said


def test_a_vocabulary_that_is_too_small_is_named(work, tmp_path):
    model = make_checkpoint(
        tmp_path / "model",
        extra_tokens=("one", "two"),
        vocab_size=260,
        max_position_embeddings=8192,
    )
    chats = make_chats(tmp_path / "chats.jsonl")
    paths = (f"base_model.path={model.directory}", f"dataset.path={chats}")
    said = rehearse(work, "recipe=storm_own", *paths, code=1)
    assert "base_model" in said
    assert "tokenizer" in said


@pytest.mark.slow
def test_a_recipe_of_ones_own_is_rehearsed_on_its_own_tokenizer(work, tmp_path):
    sizes = {"hidden": 512, "intermediate": 11_000}
    model = make_model(tmp_path / "model", family="llama", **sizes)
    chats = make_chats(tmp_path / "chats.jsonl")
    paths = (f"base_model.path={model}", f"dataset.path={chats}")
    said = rehearse(work, "recipe=storm_own", *paths, "judge.max_length=2048")
    assert "rehearsal passed" in said
    assert "base_model (path): replaced by a random llama model with its own tokenizer" in said
    assert "rows after the first 80" in said

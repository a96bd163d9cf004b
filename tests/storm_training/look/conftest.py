"""A run that tokenised chats and trained on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm_exp.testing import CommandResult, run
from storm_models.testing import make_checkpoint
from storm_training.testing import make_chats

RECIPE = """# @package _global_
defaults:
  - /base_model: path
  - /dataset: dataset_path
  - /tokens: chat_tokens
  - /finetuner: sft
graph:
  tokens: {model: base_model, data: dataset}
  finetuner: {model: base_model, tokens: tokens}
tokens: {max_length: 20}
finetuner: {steps: 3, sequence_length: 96, batch_size: 1, precision: "float32", loggers: []}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CommandResult]:
    """The folder and the result of the run; its chats of more than 20 tokens were left out."""
    folder = tmp_path_factory.mktemp("trained")
    make_checkpoint(folder / "model")
    make_chats(folder / "chats")
    (folder / "conf/recipe").mkdir(parents=True)
    (folder / "conf/recipe/seen.yaml").write_text(RECIPE, encoding="utf-8")
    places = (f"base_model.path={folder}/model", f"dataset.path={folder}/chats")
    result = run(folder, "-cd", str(folder / "conf"), "recipe=seen", *places)
    assert not result.code, result.err
    return folder, result

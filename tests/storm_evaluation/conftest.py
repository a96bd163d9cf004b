"""A tiny random Llama that can chat, and a folder with two tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from presets import instance
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import BOS_AND_TURNS, make_byte_tokenizer
from storm_models.testing import make_checkpoint as make_checkpoint_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def build_tokenizer() -> PreTrainedTokenizerFast:
    return make_byte_tokenizer(template=BOS_AND_TURNS, bos="<|begin|>")


def build_checkpoint(folder: Path, *, seed: int = 0, adds_bos: bool = False) -> Checkpoint:
    return make_checkpoint_of(
        folder,
        seed=seed,
        dtype="float32",
        bos="<|begin|>",
        adds_bos=adds_bos,
        hidden_size=64,
        intermediate_size=96,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        initializer_range=0.2,
        tie_word_embeddings=True,
    )


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    return build_tokenizer


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., Checkpoint]:
    return build_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return build_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return build_checkpoint(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(scope="session")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"question": f"what follows {n}?", "answer": str(n + 1), "choices": [str(n + 1), str(n)]}
        for n in range(20)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "numbers.jsonl").write_text(text, encoding="utf-8")
    (folder / "_numbers").write_text(
        "dataset_path: json\n"
        "dataset_kwargs: {data_files: {test: numbers.jsonl}}\n"
        "test_split: test\n"
        "doc_to_text: '{{question}}'\n",
        encoding="utf-8",
    )
    (folder / "choose.yaml").write_text(
        "include: _numbers\n"
        "task: choose\n"
        "output_type: multiple_choice\n"
        "doc_to_choice: choices\n"
        "doc_to_target: 0\n"
        "metric_list: [{metric: acc}, {metric: acc_norm}]\n",
        encoding="utf-8",
    )
    (folder / "write.yaml").write_text(
        "include: _numbers\n"
        "task: write\n"
        "output_type: generate_until\n"
        "doc_to_target: answer\n"
        "process_results: !function scoring.starts_with\n"
        "generation_kwargs: {until: ['\\n', 'ab'], max_gen_toks: 24, do_sample: false}\n"
        "metric_list: [{metric: near, aggregation: mean, higher_is_better: true}]\n",
        encoding="utf-8",
    )
    (folder / "scoring.py").write_text(
        "def starts_with(doc, results):\n    return {'near': float(len(results[0]) % 2 == 0)}\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="session")
def preset() -> Callable[[str], object]:
    """Return a function that makes an evaluator from its preset in conf/."""
    return lambda name: instance(f"evaluator/{name}")

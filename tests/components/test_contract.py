"""Every component that runs on toy inputs keeps its contract, as check_component sees it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.toy_inputs import ToyInputs, configured, judge
from storm_data.testing import make_chats
from storm_exp._contract.plugins import load_plugins
from storm_exp.testing import HEAVY, check_component
from storm_exp.testing.component_check import check_class

COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2], dirs_exist_ok=True)"
WRITE_ROWS = (
    "import json, sys; rows = [dict(messages=[dict(role='user', content=f'say {n}'), "
    "dict(role='assistant', content=str(n))]) for n in range(9)]; "
    "open(sys.argv[1] + '/rows.jsonl', 'w').write(chr(10).join(map(json.dumps, rows)))"
)
TRAINING = {
    "steps": 2,
    "sequence_length": 96,
    "batch_size": 2,
    "precision": "float32",
    "loggers": [],
}
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
NOT_HERE = {
    **dict.fromkeys(("hub_chat", "hub_documents", "hub_preferences", "hub"), "a network"),
    "smollm2_135m": "an environment: tests/storm_command runs it where there is one",
    "gguf": "the package gguf: tests/storm_export reads its files with llama.cpp",
    "hub_folder": "a store, whose records it tells: tests/storm_export/hub",
    "ollama": "the package gguf: tests/storm_export writes its Modelfile",
    "merge_adapter": "an adapter: tests/storm_merging/adapters compares it with peft",
    "lm_eval": "minutes: tests/storm_evaluation/harness compares it with lm_eval itself",
    "task_questions": "lm_eval: tests/storm_evaluation/questions compares it with an evaluation",
    "tinyworld": "minutes: tests/end_to_end runs it, and compares its digests",
}
"""Components that cannot be checked here, and what they would need."""

READS = {
    "dataset_path": (
        "pyarrow",
        "numpy",
    ),  # the footers of its Parquet files, which say how many rows
    "mergekit": ("torch", "numpy"),  # mergekit's own list of methods, which imports them
}
"""Components that need a heavy package to say what they will make, and which."""

Given = tuple[dict[str, Any], dict[str, Any]]
"""The settings of a component, and its inputs by port."""


def script(toys: ToyInputs, code: str) -> str:
    """Return the words that run a program."""
    file = toys.folder / f"program-{abs(hash(code))}.py"
    file.write_text(code, encoding="utf-8")
    return f"{sys.executable} {file}"


def models(toys: ToyInputs, **settings: Any) -> Given:
    return settings, {"models": toys.models[:2]}


def differences(toys: ToyInputs, **settings: Any) -> Given:
    return settings, {"base": toys.model, "models": toys.models[1:]}


def training(toys: ToyInputs, tokens: str, **inputs: str) -> Given:
    ports = {port: getattr(toys, name) for port, name in inputs.items()}
    return TRAINING, {"model": toys.model, "tokens": getattr(toys, tokens), **ports}


def curated(toys: ToyInputs, **settings: Any) -> Given:
    own = {"min_education": 1.0, "difficulties": ["easy", "medium", "hard"], "validation": 0.1}
    return {**own, **settings}, {"data": toys.chats, "scores": toys.scores}


def corpus(toys: ToyInputs) -> Given:
    return {"rows": 24, "validation_rows": 6}, {}


CASES: dict[str, Callable[[ToyInputs], Given]] = {
    "command": lambda t: ({"line": f"{script(t, COPY)} {{model}} {{out}}"}, {"model": t.model}),
    "dataset_command": lambda t: (
        {"line": f"{script(t, WRITE_ROWS)} {{out}}", "validation_rows": 2},
        {},
    ),
    "zero_shot": lambda t: (vars(judge()), {"model": t.model, "data": t.chats}),
    "thresholds": curated,
    "highest_value": lambda t: curated(t, train_rows=20),
    "random_subset": curated,
    "mistakes": lambda t: ({"validation": 0.1}, {"data": t.chats, "answers": t.answers}),
    "keep_all": lambda t: ({"validation": 0.1}, {"data": t.chats}),
    "chat_jsonl": lambda t: ({"path": str(make_chats(t.folder / "chats.jsonl"))}, {}),
    "text_documents": lambda t: ({"path": str(t.text), "validation_rows": 2}, {}),
    "preference_jsonl": lambda t: ({"path": str(t.pairs_file), "validation_rows": 2}, {}),
    "dataset_path": lambda t: ({"path": str(t.chats.directory)}, {}),
    "dataset_excerpt": lambda t: ({"path": str(t.chats.directory), "rows": 10}, {}),
    "jsonl": lambda t: ({}, {"data": t.chats}),
    "held_out": lambda t: ({"limit": 4}, {"model": t.model, "data": t.chats}),
    "held_out_pairs": lambda t: ({"limit": 4}, {"model": t.model, "data": t.pairs}),
    "held_out_text": lambda t: ({"limit": 4}, {"model": t.model, "data": t.documents}),
    "tool_calls": lambda t: (
        {
            "suite": "pkg://storm_tinyworld/function_calls",
            "categories": ["simple", "irrelevance"],
            "limit": 1,
            "max_new_tokens": 4,
        },
        {"model": t.long_model},
    ),
    "question_file": lambda t: ({"path": str(t.questions_file)}, {}),
    "held_out_questions": lambda t: ({}, {"data": t.chats}),
    "tool_questions": lambda t: (
        {"suite": "pkg://storm_tinyworld/function_calls", "categories": ["simple"], "limit": 2},
        {},
    ),
    "ngrams": lambda t: ({"n": 2}, {"data": t.chats, "questions": [t.questions]}),
    "paired": lambda t: ({"resamples": 100}, {"evaluations": t.evaluations}),
    "bf16": lambda t: ({}, {"model": t.model}),
    "fp8_dynamic": lambda t: ({}, {"model": t.model}),
    "fp8_static": lambda t: ({"samples": 8, "max_length": 96}, {"model": t.model, "data": t.chats}),
    "answers": lambda t: (
        {"max_new_tokens": 4, "unfinished": True},
        {"model": t.model, "data": t.chats},
    ),
    "slerp": models,
    "linear": models,
    "task_arithmetic": differences,
    "merge_yaml": lambda t: models(t, method="karcher"),
    "depth_upscale": lambda t: ({"m": 1}, {"model": t.model}),
    "block_expand": lambda t: ({"every": 2}, {"model": t.model}),
    "ties": differences,
    "dare_linear": differences,
    "dare_ties": differences,
    "della": differences,
    "della_linear": differences,
    "breadcrumbs": differences,
    "breadcrumbs_ties": differences,
    "model_stock": differences,
    "sce": differences,
    "mergekit": lambda t: models(t, method="linear", parameters={"weight": [0.5, 0.5]}),
    "importance": lambda t: ({"samples": 8, "max_length": 96}, {"model": t.model, "data": t.chats}),
    "importance_matrix": lambda t: (
        {"samples": 8, "max_length": 96},
        {"model": t.model, "data": t.chats},
    ),
    "block_importance": lambda t: (
        {"samples": 8, "max_length": 96, "counts": [1, 2]},
        {"model": t.model, "data": t.chats},
    ),
    "minitron_width": lambda t: (
        {"intermediate_size": 48},
        {"model": t.model, "importance": t.importance},
    ),
    "minitron_depth": lambda t: (
        {"layers": 3},
        {"model": t.model, "importance": t.block_importance},
    ),
    "path": lambda t: ({"path": str(t.model.directory)}, {}),
    "new_model": lambda t: (
        {"config": {"model_type": "llama", **SMALL, "num_attention_heads": 2}},
        {"tokenizer": t.model},
    ),
    "model_twin": lambda t: (
        {
            "of": "some/model",
            "config": {
                "model_type": "llama",
                "vocab_size": 151936,
                "num_attention_heads": 2,
                **SMALL,
            },
        },
        {},
    ),
    "tinyworld_pool": corpus,
    "tinyworld_text": corpus,
    "tinyworld_code": corpus,
    "tinyworld_questions": corpus,
    "tinyworld_preferences": corpus,
    "tinyworld_leaks": lambda t: ({"leaks": 1}, {"data": t.chats, "questions": t.questions}),
    "tinyworld_oracle": lambda t: ({"validation": 0.1}, {"data": t.pool}),
    "tinyworld_sibling": lambda t: ({**TRAINING, "rows": 12}, {"model": t.model}),
    "chat_tokens": lambda t: ({}, {"model": t.model, "data": t.chats}),
    "document_tokens": lambda t: ({}, {"model": t.model, "data": t.documents}),
    "preference_tokens": lambda t: ({}, {"model": t.model, "data": t.pairs}),
    "token_mixture": lambda t: (
        {"shares": [0.5, 0.5], "tokens": 200},
        {"parts": [t.document_tokens, t.document_tokens]},
    ),
    "snr": lambda t: ({}, {"model": t.model}),
    "reference_log_probs": lambda t: (
        {"precision": "float32"},
        {"model": t.model, "tokens": t.preference_tokens},
    ),
    "top_k_answers": lambda t: (
        {"k": 8, "precision": "float32"},
        {"model": t.model, "tokens": t.chat_tokens},
    ),
    "sft": lambda t: training(t, "chat_tokens", layers="layers"),
    "pretraining": lambda t: training(t, "document_tokens"),
    "dpo": lambda t: training(t, "preference_tokens", reference="reference"),
    "distillation": lambda t: training(t, "chat_tokens", answers="top_k"),
}


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> ToyInputs:
    return ToyInputs(tmp_path_factory.mktemp("toys"))


def test_every_component_is_checked_or_said_not_to_be() -> None:
    assert CASES.keys() | NOT_HERE.keys() == load_plugins().components.keys()
    assert not CASES.keys() & NOT_HERE.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_component_keeps_its_contract(name: str, toys: ToyInputs, tmp_path: Path) -> None:
    component = load_plugins().component(name)
    if component.missing_packages():
        pytest.skip(f"needs {', '.join(component.missing_packages())}")
    settings, inputs = CASES[name](toys)
    # To import torch once more for each would take minutes: those that need it run again here.
    fresh = not set(component.requires or ()) & set(HEAVY)
    heavy = [package for package in HEAVY if package not in READS.get(name, ())]
    settings = configured(component.cls, **settings)
    check_component(settings, tmp_path, heavy=heavy, fresh=fresh, **inputs)


@pytest.mark.parametrize("name", NOT_HERE)
def test_what_cannot_be_run_here_says_what_it_is(name: str) -> None:
    component = load_plugins().component(name)
    if name == "hub_folder":  # its scores are of a plugin that storm_export may not import
        with pytest.raises(AssertionError, match="the port `evaluations` takes any artifact"):
            check_class(component)
        return
    check_class(component)

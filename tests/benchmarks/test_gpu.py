"""The GPU benchmark in miniature, so that it runs at once where there is a GPU."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
MODULES = [file.stem for file in BENCHMARKS.glob("*.py")]


@pytest.fixture
def benchmark_module(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setenv("STORM_EXP_BENCH", str(tmp_path))
    import gpu

    yield gpu
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_measures_nothing(benchmark_module, capsys, tmp_path):
    benchmark_module.main([])
    said = capsys.readouterr().out
    assert said.startswith("no CUDA device here") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def spectrum_module(benchmark_module):
    return importlib.import_module("training_gpu_spectrum")


def test_spectrum_runs_in_miniature(spectrum_module):
    config = spectrum_module.EIGHT_BILLION | spectrum_module.TINY
    plan = spectrum_module.SpectrumPlan(config=config, context=64, steps=3, compile=False)
    run = spectrum_module.train_spectrum(plan)
    assert len(run["losses"]) == 3 and run["tokens_per_second"] > 0


def test_operations_are_those_that_torch_counts_in_forward_and_backward(spectrum_module):
    config = spectrum_module.EIGHT_BILLION | spectrum_module.TINY
    network = spectrum_module.build(config, torch.float32)
    network.set_attn_implementation("eager")
    spectrum_module.choose_half(network)
    context = 32
    ids = torch.zeros((1, context), dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        network(input_ids=ids, use_cache=False).logits.sum().backward()
    counts = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    # Rotary angles are products, too, and attention counts half of what eager attention computes.
    size = config["hidden_size"] // config["num_attention_heads"]
    rotary = 2 * context * size // 2
    square = counts["aten.bmm"] - rotary
    expected = spectrum_module.operations_per_token(network, context) * context
    assert counts["aten.mm"] + square // 2 == expected


@pytest.mark.slow
def test_the_comparison_with_trl_runs_in_miniature(benchmark_module):
    pytest.importorskip("trl")
    found = benchmark_module.measure("trl", 600, miniature=True)
    assert "TRL, packed" in found.body and "within the tolerance" in found.body
    assert found.figures["tokens_per_second"] > 0


@pytest.mark.parametrize(
    "name", [pytest.param("judging", marks=pytest.mark.slow), "distillation", "export"]
)
def test_parts_run_in_miniature(benchmark_module, name):
    found = benchmark_module.measure(name, 60, miniature=True)
    assert "| --- |" in found.body
    assert found.figures and all(math.isfinite(value) for value in found.figures.values())


@pytest.mark.slow
def test_one_call_prints_a_table_and_json_and_names_what_it_could_not_measure(
    benchmark_module, capsys, monkeypatch
):
    parts = benchmark_module.PARTS
    absent = dataclasses.replace(parts["trl"], package="no_such_package")
    monkeypatch.setitem(parts, "trl", absent)
    benchmark_module.main(["--miniature", "distillation", "trl"])
    said = capsys.readouterr().out
    found = json.loads(said.splitlines()[-1])
    assert found["distillation"]["storm_seconds"] > 0
    assert found["trl"] == {"not measured": "no_such_package is not installed"}
    assert "| distillation | storm_seconds |" in said


def test_a_part_that_takes_too_long_is_ended_and_named(benchmark_module):
    found = benchmark_module.run_part("distillation", 0.2, miniature=True)
    assert found == "not done in 0 s"

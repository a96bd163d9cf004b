"""The measurement beside mergekit-yaml, on models of two small layers."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from storm_merging.mergefile.merge_file import read_merge_file
from storm_models.checkpoint.checkpoint import Checkpoint

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("merging_methods")
    for file in BENCHMARKS.glob("*.py"):
        sys.modules.pop(file.stem, None)


def test_files_name_the_models_and_say_nothing_without_effect(module, tmp_path):
    module.make_models(tmp_path, 1, 512)
    one = Checkpoint(tmp_path / "one")
    assert one.spec().parameters == sum(tensor.numel() for _, tensor in one.tensors())
    for method in module.METHODS:
        merge = read_merge_file(module.write_file(tmp_path, method))
        assert merge.method == method
        assert merge.notices == []
        names = {Path(model.model.path).name for model in merge.models()}
        assert names == {"one", "two"} | ({"base"} if method != "linear" else set())


@pytest.mark.slow
def test_a_small_measurement_prints_its_table_and_writes_no_section(module, monkeypatch, capsys):
    monkeypatch.setattr(module, "METHODS", ("linear", "ties"))
    results = (BENCHMARKS / "RESULTS.md").read_bytes()
    module.main(["--methods", "--layers", "2", "--vocabulary", "4096", "--rounds", "1"])
    said = capsys.readouterr().out
    for method in ("linear", "ties"):
        cells = r"(\| [\d.]+ s, [\d.]+ GB ){2}\| [\d.]+, [\d.]+ \| 2, 5 \|"
        assert re.search(rf"\| {method} {cells}", said), said
    assert (BENCHMARKS / "RESULTS.md").read_bytes() == results

"""The merge of 8 B shapes: what the disk holds, and what is read and written beside it."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("merging_large")
    for file in BENCHMARKS.glob("*.py"):
        sys.modules.pop(file.stem, None)


def test_shapes_are_those_of_llama_3_1_8b(module):
    assert module.bytes_of(32) == 2 * 8_030_261_248


@pytest.mark.parametrize(("layers", "most"), [(1, 8), (3, 8), (8, 8), (2, 2)])
def test_as_many_layers_are_taken_as_the_disk_holds_thrice(
    module, monkeypatch, tmp_path, layers, most
):
    room = SimpleNamespace(free=3 * module.bytes_of(layers) + module.MARGIN + 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: room)
    assert module.layers_that_fit(tmp_path, most) == layers


def test_a_disk_that_holds_none_is_refused(module, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=module.MARGIN))
    with pytest.raises(SystemExit, match="GB must be free for one layer"):
        module.layers_that_fit(tmp_path, 8)


@pytest.mark.parametrize("way", ["copy", "copy_ahead"])
def test_copying_reads_both_and_writes_the_first(module, tmp_path, way):
    one, two = (tmp_path / name for name in ("one", "two"))
    one.write_bytes(bytes(range(256)) * 5000)
    two.write_bytes(bytes(1_280_000))
    getattr(module, way)(one, two, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == one.read_bytes()

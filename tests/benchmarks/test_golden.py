"""Golden figures: what a payload's files give, and what counts as a difference."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import golden

    yield golden
    for name in ("golden", "results"):
        sys.modules.pop(name, None)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of one stage, whose payload has a file of each kind."""
    payload = tmp_path / "payload"
    payload.mkdir()
    (payload / "training.json").write_text(
        '{"settings": {"steps": 9}, "steps": [{"loss": 0.1}, {"loss": 0.30000000000000004}]}'
    )
    (payload / "samples.jsonl").write_text('{"score": 1.0, "text": "a"}\n{"score": 0, "text": "b"}')
    rows = pyarrow.Table.from_pylist([{"p": [0.25, 0.75], "label": "x"}])
    pyarrow.parquet.write_table(rows, payload / "scores.parquet")
    save_file({"w": torch.ones(2), "v": torch.zeros(2)}, payload / "model.safetensors")
    (payload / "train.input_ids.bin").write_bytes(b"\1\2")
    metrics = {"loss": 0.5, "tokens_per_second": 7.0}
    stage = {"stage": "s", "element": "", "metrics": metrics, "directory": str(payload)}
    record = {"cells": [{"name": "", "stages": [stage]}]}
    (tmp_path / "run.json").write_text(json.dumps(record))
    return tmp_path


def test_every_kind_of_file_gives_its_figures_and_speed_and_settings_are_none(
    golden: Any, run_folder: Path
) -> None:
    figures = golden.figures_of_run(run_folder)
    assert figures["s: training.json .steps[].loss"] == [0.1, 0.30000000000000004]
    assert figures["s: samples.jsonl [].score"] == [1.0, 0]
    assert figures["s: scores.parquet [].p[]"] == [0.25, 0.75]
    assert figures["s: metrics .loss"] == [0.5]
    digests = {"s: model.safetensors v", "s: model.safetensors w", "s: train.input_ids.bin bytes"}
    texts = {"s: samples.jsonl [].text", "s: scores.parquet [].label"}
    assert len(figures) == 4 + len(digests & figures.keys()) + len(texts & figures.keys()) == 9


def test_another_last_digit_text_or_weight_is_a_difference(golden: Any, run_folder: Path) -> None:
    before = golden.figures_of_run(run_folder)
    payload = run_folder / "payload"
    (payload / "training.json").write_text('{"steps": [{"loss": 0.1}, {"loss": 0.3}]}')
    (payload / "samples.jsonl").write_text('{"score": 1.0, "text": "a"}\n{"score": 0, "text": "c"}')
    weights = {"w": torch.tensor([1.0, 1.0 + 2**-23]), "v": torch.zeros(2)}
    save_file(weights, payload / "model.safetensors", metadata={"format": "pt"})
    moved, renamed = golden.differences(before, golden.figures_of_run(run_folder))
    assert [line.split(" at ")[0] for line in moved] == [
        "s: model.safetensors w",
        "s: samples.jsonl [].text",
        "s: training.json .steps[].loss",
    ]
    assert moved[2].endswith("at 2 of 2: 0.30000000000000004 and 0.3")
    assert not renamed


def test_a_series_under_another_name_is_found_and_one_that_is_gone_is_told(golden: Any) -> None:
    before = {"s: a .x": [1, 2.5], "s: b .y": [3], "s: c .z": [math.nan]}
    after = {"t: d .new": [1.0, 2.5], "s: c .z": [math.nan], "s: e .more": [0]}
    moved, renamed = golden.differences(before, after)
    assert renamed == [("s: a .x", "t: d .new")]
    assert moved == ["s: b .y is gone: [3]"]


def test_one_series_is_found_under_one_other_name_only(golden: Any) -> None:
    moved, renamed = golden.differences({"s: a": [1], "s: b": [1]}, {"s: c": [1]})
    assert len(moved) == len(renamed) == 1


@pytest.mark.parametrize(
    ("after", "same"),
    [([100.0, 0.00005], True), ([100.009, 0.0], True), ([100.02, 0.0], False), ([100.0], False)],
)
def test_a_tolerance_is_relative_above_one_and_absolute_below(
    golden: Any, after: list[float], same: bool
) -> None:
    assert (golden.first_difference([100.0, 0.0], after, 1e-4) is None) == same


def test_the_command_names_the_first_difference_of_each_stage(golden: Any, tmp_path: Path) -> None:
    head = {"commit": "c", "setting": "today; machine"}
    one = {"r": {"s: a": [0.1], "s: b": [1], "t: a": [2]}, "gone": {"s: a": [1]}}
    other = {"r": {"s: a": [0.10000000000000002], "s: b": [2], "t: a": [2]}}
    for name, figures in (("one", one), ("other", other)):
        (tmp_path / name).write_text(golden.written(head, figures))

    def compared(*files: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "benchmarks/golden.py"), "compare", *files]
        return subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)

    assert compared("one", "one").returncode == 0
    answer = compared("one", "other")
    assert answer.returncode == 1
    first = "s: a at 1 of 1: 0.1 and 0.10000000000000002 (and 1 more series of the stage)"
    assert first in answer.stdout
    assert "s: a is gone: [1]" in answer.stdout


def test_code_that_changes_meanwhile_gives_no_figures(
    golden: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = iter(["one", "other"])
    monkeypatch.setattr(golden, "state", lambda: next(states))
    monkeypatch.setattr(golden, "run", lambda recipe, folder: None)
    monkeypatch.setattr(golden, "figures_of_run", lambda folder, summary: {})
    with pytest.raises(SystemExit, match="changed meanwhile"):
        golden.keep(tmp_path / "kept.json", ["r"], tmp_path / "work", summary=False)
    assert not (tmp_path / "kept.json").exists()

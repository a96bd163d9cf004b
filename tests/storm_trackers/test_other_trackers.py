"""What MLflow, W&B and trackio read of runs that were shown to them, where they are installed."""

from __future__ import annotations

import json
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest

SWEEP = ("recipe=sum", "adder.amount=3,4", "-m")


def unblocked(file: Path) -> list[bytes]:
    """Return the records of a file of W&B, which is a log of LevelDB behind seven bytes."""
    data, position, records, begun = file.read_bytes(), 7, [], b""
    while position + 7 <= len(data):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        length, kind = struct.unpack("<HB", data[position + 4 : position + 7])
        begun += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            records.append(begun)
            begun = b""
    return records


def wandb_run(file: Path) -> dict[str, Any]:
    """Return name, group, settings, summary and files of an offline run."""
    from wandb.proto.wandb_internal_pb2 import Record

    found: dict[str, Any] = {"config": {}, "summary": {}, "artifacts": [], "exit": None}
    for each in unblocked(file):
        record = Record.FromString(each)
        which = record.WhichOneof("record_type")
        if which == "run":
            found |= {"name": record.run.display_name, "group": record.run.run_group}
            found["tags"] = list(record.run.tags)
            updates = record.run.config.update
        else:
            updates = record.config.update if which == "config" else []
        found["config"] |= {u.key or ".".join(u.nested_key): u.value_json for u in updates}
        for update in record.summary.update if which == "summary" else []:
            name = update.key or ".".join(update.nested_key)
            found["summary"][name] = json.loads(update.value_json)
        if which == "artifact":
            found["artifacts"] += [entry.path for entry in record.artifact.manifest.contents]
        if which == "exit":
            found["exit"] = record.exit.exit_code
    return found


def test_wandb_has_a_run_with_stages_tables_and_files(storm, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    done = storm("recipe=sum", "tracker=wandb", "name=first", "tags=[draft]")
    assert done.record.problems == []
    (file,) = (tmp_path / "outputs/wandb").glob("offline-run-*/*.wandb")
    shown = wandb_run(file)
    assert shown["name"] == done.record.directory.name and shown["exit"] == 0
    assert shown["tags"] == ["draft"] and json.loads(shown["config"]["name"]) == "first"
    assert shown["summary"]["adder/value"] == 2.0
    assert shown["summary"]["adder/status"] == "made"
    assert {"tables/stages", "tables/scores", "report"} <= {
        name.split(".")[0] for name in shown["summary"]
    }
    assert json.loads(shown["config"]["adder.amount"]) == 1.0


def test_wandb_has_the_cells_of_a_sweep_in_a_group(storm, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    done = storm(*SWEEP, "tracker=wandb")
    shown = [wandb_run(file) for file in (tmp_path / "outputs/wandb").glob("offline-*/*.wandb")]
    assert {run["group"] for run in shown} == {done.record.directory.name}
    cells = {run["name"]: run["summary"] for run in shown}
    assert cells["adder.amount=4"]["total/value"] == 17.0
    assert len(cells) == 3


def test_mlflow_has_nested_runs(storm, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="the extra mlflow is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    storm("recipe=sum")
    done = storm(*SWEEP, "tracker=mlflow", "tracker.project=mine", "tracker.patience_seconds=300")
    assert done.record.problems == []
    # Its client warns of what MLflow itself imports.
    with sqlite3.connect(tmp_path / "outputs/mlflow.db") as database:
        names = dict(database.execute("select run_uuid, name from runs"))
        tags = list(database.execute("select run_uuid, key, value from tags"))
        metrics = {
            (names[run], key): value
            for run, key, value in database.execute(
                "select run_uuid, key, value from latest_metrics"
            )
        }
        statuses = {status for (status,) in database.execute("select status from runs")}
    assert statuses == {"FINISHED"}
    (root,) = (run for run, name in names.items() if name == done.record.directory.name)
    parents = {run: value for run, key, value in tags if key == "mlflow.parentRunId"}
    assert set(parents) == set(names) - {root} and set(parents.values()) == {root}
    states = {names[run]: value for run, key, value in tags if key == "storm_exp.status"}
    assert states["source"] == "kept" and states["total/adder.amount=4"] == "made"
    assert metrics["adder.amount=4", "total/value"] == 17.0
    assert metrics["adder/adder.amount=3", "value"] == 4.0
    artifacts = tmp_path / "outputs/mlartifacts" / root / "artifacts"
    for name in ("report.html", "run.json", "lineage.json", "tables/cells.csv", "sweep.csv"):
        assert (artifacts / name).is_file(), name


def test_trackio_has_a_run_with_stages_tables_and_files(storm, tmp_path, monkeypatch):
    pytest.importorskip("trackio", reason="the extra trackio is not installed")
    for name in ("TRACKIO_DIR", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    done = storm("recipe=sum", "tracker=trackio")
    assert done.record.problems == []
    with sqlite3.connect(tmp_path / "outputs/trackio/storm-exp.db") as database:
        told = [json.loads(row) for (row,) in database.execute("select metrics from metrics")]
    figures = {name: value for row in told for name, value in row.items()}
    assert figures["adder/value"] == 2.0 and figures["adder/kept"] == 0.0
    assert {"tables/stages", "tables/scores"} <= figures.keys()


def test_a_server_that_cannot_be_reached_costs_no_run(storm, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done = storm("recipe=sum", "tracker=mlflow", "tracker.patience_seconds=200")
    assert done.code == 0
    (line,) = done.record.problems
    assert line.startswith("tracker=mlflow failed: ") and "127.0.0.1" in line


def test_wandb_without_a_network_costs_no_run_and_no_minutes(storm, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    done = storm("recipe=sum", "tracker=wandb", "tracker.patience_seconds=3")
    assert done.code == 0
    assert done.record.status == "finished"
    (line,) = done.record.problems
    assert line.startswith("tracker=wandb ")

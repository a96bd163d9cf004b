"""What TensorBoard reads of runs that were shown to it."""

from __future__ import annotations

from event_files import scalars, text


def test_a_run_is_shown_with_its_stages_settings_and_tables(storm, tmp_path):
    done = storm("recipe=sum", "adder.amount=4", "tracker=tensorboard", "tracker.project=mine")
    shown = (tmp_path / "outputs/latest/tracker").resolve()
    assert f"tracker  tensorboard: {shown}\n" in done.err
    assert scalars(shown / "adder")["value"] == [(0, 5.0)]
    assert scalars(shown / "total")["value"] == [(0, 17.0)]
    assert {"seconds", "peak_memory"} <= scalars(shown / "adder").keys()
    stage = text(shown / "adder", "stage")
    assert "|status|made|" in stage and "|amount|4|" in stage
    assert f"|key|{done.stage('adder').key}|" in stage
    settings = text(shown, "settings")
    assert "|recipe|sum|" in settings and "|adder.amount|4|" in settings
    assert "|tracker.project|mine|" in settings
    assert "|total|value|17|||" in text(shown, "scores")
    files = text(shown, "files")
    assert "|status|finished|" in files
    assert {"report.html", "run.json", "lineage.json"} <= {
        line.split("|")[1] for line in files.splitlines()
    }


def test_a_hit_is_shown_as_kept(storm, tmp_path):
    storm("recipe=sum")
    storm("recipe=sum", "adder.amount=4", "tracker=tensorboard")
    shown = (tmp_path / "outputs/latest/tracker").resolve()
    statuses = {name: text(shown / name, "stage") for name in ("source", "adder", "total")}
    assert "|status|kept|" in statuses["source"]
    assert "|status|made|" in statuses["adder"] and "|status|made|" in statuses["total"]
    assert scalars(shown / "source")["value"] == [(0, 1.0)]


def test_the_cells_of_a_sweep_are_a_group(storm, tmp_path):
    storm("recipe=sum", "adder.amount=3,4", "-m", "tracker=tensorboard")
    shown = (tmp_path / "outputs/latest/tracker").resolve()
    assert scalars(shown / "cells/adder.amount=4")["total/value"] == [(0, 17.0)]
    assert scalars(shown / "total/adder.amount=3")["value"] == [(0, 16.0)]
    assert scalars(shown / "source")["value"] == [(0, 1.0)]
    table = text(shown, "cells").splitlines()
    assert table[0].startswith("|cell|adder.amount|")
    assert "|adder.amount|" not in text(shown, "settings")


def test_a_finished_run_can_be_shown_later(storm, tmp_path):
    storm("recipe=sum")
    shown = storm("track", "outputs/latest", "tensorboard")
    folder = (tmp_path / "outputs/latest/tracker").resolve()
    assert (shown.code, shown.out) == (0, f"tensorboard: {folder}\n")
    assert scalars(folder / "total")["value"] == [(0, 14.0)]
    refused = storm("track", "outputs", "tensorboard")
    assert "holds no run.json: give the folder of a run" in refused.error
    assert "invalid choice: 'board'" in storm("track", "outputs/latest", "board").error


def test_a_rehearsal_is_not_shown(storm, tmp_path):
    rehearsed = storm("rehearse", "recipe=sum", "tracker=tensorboard")
    assert rehearsed.code == 0
    assert not list(tmp_path.rglob("events.out.*"))

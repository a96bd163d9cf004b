"""The verbs besides running: plan, store, report, version."""

from __future__ import annotations

import json


def test_plan_shows_keys_status_and_forecasts_and_makes_nothing(storm, tmp_path):
    said = storm("plan", "recipe=sum")
    assert said.code == 0
    lines = [line.split(maxsplit=3) for line in said.out.splitlines()]
    assert lines[2][:2] == ["source", "number"]
    assert lines[2][3] == "to make  will be 1"
    assert lines[5][0] == "total"
    assert lines[5][3] == "to make  will be 14"
    assert not (tmp_path / "outputs/store").exists()
    assert not (tmp_path / "outputs/runs").exists()


def test_plan_tells_kept_from_to_make_from_not_needed(storm):
    assert storm("recipe=sum", "targets=[adder]").code == 0
    said = storm("plan", "recipe=sum", "targets=[total]", "total.factor=2")
    status = {line.split()[0]: line for line in said.out.splitlines()[2:]}
    assert "kept" in status["adder"]
    assert "to make" in status["total"]
    assert storm("recipe=sum").code == 0
    assert "nothing to make" in storm("plan", "recipe=sum").out


def test_plan_m_counts_what_a_sweep_will_make(storm, tmp_path):
    for arguments in (
        ("plan", "-m", "recipe=sum", "adder.amount=1,2,3"),
        ("plan", "recipe=sum", "adder.amount=1,2,3", "-m"),
        ("plan", "sweep=amounts"),
    ):
        said = storm(*arguments)
        assert said.code == 0, said.err
        assert "3 cells: to make: 1 source, 3 adder, 1 other, 3 total" in said.out
    assert not (tmp_path / "outputs/store").exists()


def test_plan_why_names_what_differs_from_the_nearest(storm):
    assert storm("recipe=sum").code == 0
    said = storm("plan", "--why", "recipe=sum", "adder.amount=3")
    assert "why adder: amount: 1" in said.out
    assert "0 → 3.0" in said.out
    assert "why total: input numbers differs" in said.out
    assert "why source" not in said.out
    said = storm("plan", "--why", "recipe=sum", "adder=weighted", "source=settled")
    assert "why adder: the store has no artifact of this component" in said.out


def test_plan_why_names_a_changed_file_and_damage(storm, tmp_path):
    (tmp_path / "a.txt").write_text("5", encoding="utf-8")
    mine = ("recipe=sum", "source=from_file", "source.path=a.txt", "targets=[source]")
    assert storm(*mine).code == 0
    (tmp_path / "a.txt").write_text("66", encoding="utf-8")
    assert (
        "why source: what it reads from outside the store differs"
        in storm("plan", "--why", *mine).out
    )
    assert storm(*mine).code == 0
    (tmp_path / "outputs/latest/source/value.json").unlink()
    assert "why source: damaged: " in storm("plan", "--why", *mine).out


def test_plan_warns_of_a_changed_source_under_the_same_version(storm, monkeypatch):
    assert storm("recipe=sum").code == 0
    from storm_exp._plan import notices

    monkeypatch.setattr(notices, "source_digest", lambda cls: "changed" + cls.__name__)
    said = storm("plan", "recipe=sum")
    assert (
        "warning: the source of 'add' (version 1) changed since adder, other was made" in said.out
    )
    assert "raise its version" in said.out


def test_store_ls_show_and_verify(storm, tmp_path, record):
    assert storm("recipe=sum").code == 0
    adder = record().cells[0].stages[1]
    listed = storm("store", "ls")
    assert listed.code == 0
    assert len(listed.out.splitlines()) == 5
    assert any(line.startswith(f"{adder.key[:12]}  add") for line in listed.out.splitlines())
    shown = storm("store", "show", adder.key[:8])
    assert json.loads(shown.out[shown.out.index("{") :])["settings"] == {"amount": 1.0}
    assert storm("store", "verify").out == "4 artifacts, 0 damaged\n"
    place = tmp_path / "outputs/store/artifacts" / adder.key[:2]
    (place / f".partial-{adder.key}-abc").mkdir()
    (place / ".DS_Store").touch()
    tolerated = storm("store", "verify")
    assert tolerated.code == 0
    assert f"{place}/.DS_Store: no artifact\n" in tolerated.out
    unfinished = "no artifact (unfinished, from a run in progress or a failed one)"
    assert f".partial-{adder.key}-abc: {unfinished}" in tolerated.out
    assert len(storm("store", "ls").out.splitlines()) == 5
    file = tmp_path / "outputs/latest/adder/value.json"
    file.chmod(0o644)
    file.write_text("3.0", encoding="utf-8")
    said = storm("store", "verify")
    assert said.code == 1
    assert f"{adder.key[:12]}  damaged: " in said.out
    assert storm("store", "verify", record().cells[0].stages[0].key).code == 0


def test_store_errors_say_what_to_give(storm):
    said = storm("store", "ls")
    assert said.code == 1
    assert "there is no store at " in said.err
    assert storm("recipe=sum", "store.path=kept").code == 0
    assert storm("store", "ls", "store.path=kept").code == 0
    assert "did you mean 'verify'?" in storm("store", "verfy", "store.path=kept").err
    assert "give the first digits" in storm("store", "show", "store.path=kept").err
    assert "no artifact 'zz' in " in storm("store", "show", "zz", "store.path=kept").err


def test_report_writes_the_report_again(storm, tmp_path):
    assert storm("recipe=sum").code == 0
    report = tmp_path / "outputs/latest/report.html"
    before = report.read_text(encoding="utf-8")
    report.unlink()
    for arguments in (["report"], ["report", "outputs/latest"]):
        said = storm(*arguments)
        assert said.code == 0
        assert report.read_text(encoding="utf-8") == before
    said = storm("report", "outputs")
    assert said.code == 1
    assert "outputs holds no run.json" in said.err

"""Files outside that change while a run needs them are not kept as what they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from storm_exp import Artifact, StageContext
from waiting import until


def test_what_changes_outside_between_plan_and_end_is_not_kept(storm, tmp_path, monkeypatch):
    from storm_exp.testing.toys import FromFile

    file = tmp_path / "number.txt"
    file.write_text("3", encoding="utf-8")
    run = FromFile.run

    def edited_meanwhile(self: FromFile, stage: StageContext) -> Artifact:
        file.write_text("44", encoding="utf-8")
        return run(self, stage)

    monkeypatch.setattr(FromFile, "run", edited_meanwhile)
    said = storm("recipe=sum", "source=from_file", f"source.path={file}")
    assert said.code == 1
    assert f"source: {file} changed since the plan was made; nothing was kept" in said.err
    monkeypatch.setattr(FromFile, "run", run)
    assert storm("recipe=sum", "source=from_file", f"source.path={file}").code == 0


def overwrite(file: Path, text: str) -> None:
    """Write a file anew, in a later moment."""
    file.write_text(text, encoding="utf-8")
    later = file.stat().st_mtime_ns + 5_000_000_000
    os.utime(file, ns=(later, later))


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """Return a finished artifact outside the store."""
    file = tmp_path / "finished/value.json"
    file.parent.mkdir()
    file.write_text("7", encoding="utf-8")
    return file


@pytest.mark.parametrize("taken", [pytest.param("adopted", marks=pytest.mark.slow), "linked"])
def test_a_model_that_is_overwritten_while_a_stage_reads_it_does_not_poison_the_store(
    storm, start, tmp_path, finished, values, taken
):
    adopt = ("recipe=sum", f"source={taken}", f"source.path={finished.parent}")
    run = start("-m", "storm_exp", *adopt, "adder=counting", "adder.seconds=2")
    until(lambda: bool(list((tmp_path / "outputs/store/scratch").glob("*/begun"))))
    before = finished.stat()
    overwrite(finished, "8")
    said = run.wait()
    assert said.code == 1
    assert f"adder: {finished} changed since {taken} took it" in said.err
    assert not list((tmp_path / "outputs/store/scratch").glob("*/begun"))
    finished.write_text("7", encoding="utf-8")
    os.utime(finished, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert storm(*adopt, "adder=counting", "adder.seconds=2").code == 0
    assert values()["adder"] == 7


def test_a_file_that_is_back_when_the_stage_ends_was_still_written_meanwhile(
    storm, finished, monkeypatch
):
    from storm_exp.testing.toys import Add

    run = Add.run

    def there_and_back(self: Add, stage: StageContext, number: Artifact) -> Artifact:
        overwrite(finished, "8")
        made = run(self, stage, number)
        overwrite(finished, "7")
        return made

    monkeypatch.setattr(Add, "run", there_and_back)
    adopt = ("recipe=sum", "source=adopted", f"source.path={finished.parent}")
    said = storm(*adopt)
    assert said.code == 1
    assert f"adder: {finished} was written while the stage ran" in said.err
    monkeypatch.setattr(Add, "run", run)
    assert storm(*adopt).code == 0


def test_a_file_that_changes_before_its_stage_begins_is_not_read(storm, finished, monkeypatch):
    from storm_toys.sources import Adopted

    run = Adopted.run

    def overwritten(self: Adopted, stage: StageContext) -> Artifact:
        overwrite(finished, "8")
        return run(self, stage)

    monkeypatch.setattr(Adopted, "run", overwritten)
    said = storm("recipe=sum", "source=adopted", f"source.path={finished.parent}")
    assert said.code == 1
    assert f"source: {finished} changed since the plan was made" in said.err
    assert "not reached" in said.out


def test_what_a_killed_run_began_of_other_contents_is_begun_anew(
    storm, start, tmp_path, finished, values
):
    adopt = ("recipe=sum", "source=adopted", f"source.path={finished.parent}")
    slow = ("adder=slow", "adder.seconds=2")
    run = start("-m", "storm_exp", *adopt, *slow)
    until(lambda: bool(list((tmp_path / "outputs/store/scratch").glob("*/begun"))))
    overwrite(finished, "8")
    run.process.kill()
    run.wait()
    overwrite(finished, "7")
    said = storm(*adopt, *slow)
    assert said.code == 0
    assert "adder: files outside the store changed since it started" in said.err
    assert values()["adder"] == 7


def test_a_file_that_was_only_touched_before_the_run_is_still_the_same(storm, tmp_path, values):
    file = tmp_path / "number.txt"
    file.write_text("3", encoding="utf-8")
    os.utime(file, (1000, 1000))
    arguments = ("recipe=sum", "source=from_file", f"source.path={file}")
    assert storm("plan", *arguments).code == 0
    os.utime(file, (2000, 2000))
    assert storm(*arguments).code == 0
    assert values()["source"] == 3

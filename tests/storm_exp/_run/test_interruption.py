"""Runs that a signal ends, and stages that leave in other ways than by an error."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from storm_exp._contract.errors import GOES_ON
from storm_exp._run.console import conclude
from storm_exp.report import CellRecord, RunRecord, StageRecord
from waiting import until


def begun(folder: Path) -> bool:
    """Return whether the slow stage runs."""
    return bool(list((folder / "outputs/store/scratch").glob("*/begun")))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_first_stage_names_it_and_says_what_is_next(
    start, storm, tmp_path, statuses, record, number, code
):
    slow = ("recipe=sum", "adder=slow", "adder.seconds=600")
    assert storm("recipe=sum", "targets=[source]").code == 0
    run = start("-m", "storm_exp", *slow)
    until(lambda: begun(tmp_path))
    run.process.send_signal(number)
    said = run.wait()
    assert said.code == code
    assert "  adder: interrupted after " in said.err
    assert "the next run continues from its saved progress" in said.err
    assert (
        "in adder: the progress of adder is kept; the same command continues from there" in said.out
    )
    assert "nothing to make" not in said.out + said.err
    assert "Traceback" not in said.err
    assert record().status == "interrupted"
    assert statuses() == {
        "source": "kept",
        "adder": "interrupted",
        "other": "not reached",
        "total": "not reached",
    }
    page = (tmp_path / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert "adder was interrupted" in page
    assert not (tmp_path / "outputs/store/failures").exists()
    assert not list((tmp_path / "outputs/store/leases").iterdir())


@pytest.mark.parametrize(
    ("source", "next_time", "told"),
    [
        (
            "kept",
            "starts from the beginning",
            "nothing was finished yet; the same command starts adder from the beginning",
        ),
        (
            "made",
            "starts from the beginning",
            "what was made before (1 artifact) is kept; the same command starts",
        ),
        ("kept", GOES_ON, "the progress of adder is kept; the same command continues from there"),
        (
            "made",
            GOES_ON,
            "what was made before (1 artifact) is kept and the progress of adder is kept;",
        ),
    ],
)
def test_the_last_line_says_what_is_kept_and_what_begins_anew(
    tmp_path, capsys, source, next_time, told
):
    usual = {"element": "", "component": "add", "artifact": "Value", "inputs": {}, "settings": {}}
    stages = [
        StageRecord(stage="source", key="a", status=source, spec={}, **usual),
        StageRecord(stage="adder", key="b", status="interrupted", spec={}, **usual),
    ]
    stages[1].error = f"adder: interrupted after 67.0 s; the next run {next_time}"
    record = RunRecord(
        directory=tmp_path,
        recipe="sum",
        scale="",
        when="",
        argv=[],
        seconds=67.0,
        status="interrupted",
        environment={},
        cells=[CellRecord(name="", overrides=[], config={}, stages=stages)],
    )
    conclude(record, [["adder"]], {"report": tmp_path / "report.html"})
    assert f"interrupted in adder: {told}" in capsys.readouterr().out


def test_what_was_made_before_a_signal_is_kept_and_counted(start, storm, tmp_path, statuses):
    run = start("-m", "storm_exp", "recipe=sum", "adder=slow", "adder.seconds=600")
    until(lambda: begun(tmp_path))
    run.process.send_signal(signal.SIGINT)
    assert "interrupted in adder: what was made before (1 artifact) is kept" in run.wait().out
    assert storm("recipe=sum").code == 0
    assert statuses()["source"] == "kept"


SWALLOWED = """
import sys, time
from storm_exp.__main__ import main
from storm_exp.testing.toys import Slow
run = Slow.run
def stubborn(self, stage, number):
    (stage.scratch / "begun").touch()
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        {then}
    self.seconds = 0
    return run(self, stage, number)
Slow.run = stubborn
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("then", "adder"),
    [("sys.exit(1)", "interrupted"), ("raise ValueError('odd')", "interrupted"), ("pass", "made")],
)
def test_a_library_that_swallows_a_signal_does_not_hide_it(
    start, tmp_path, statuses, record, then, adder
):
    run = start("-c", SWALLOWED.format(then=then), "recipe=sum", "adder=slow")
    until(lambda: begun(tmp_path))
    run.process.send_signal(signal.SIGINT)
    said = run.wait()
    assert said.code == 130
    assert record().status == "interrupted"
    assert statuses()["adder"] == adder
    assert statuses()["total"] == "not reached"


def test_workers_may_keep_what_they_have_before_they_end(start, tmp_path):
    arguments = ("adder=shared_out", "adder.hangs_at=0", "runtime.devices=2")
    run = start("-m", "storm_exp", "recipe=sum", *arguments)
    scratch = tmp_path / "outputs/store/scratch"
    until(lambda: list(scratch.glob("*/hangs")))
    run.process.send_signal(signal.SIGINT)
    said = run.wait()
    assert said.code == 130
    assert len(list(scratch.glob("*/kept"))) == 1
    assert "Traceback" not in said.err + said.out


class Own(BaseException):
    """As test runners raise it."""


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(3), GeneratorExit(), Own("end")])
def test_a_stage_that_leaves_without_an_error_is_named(storm, monkeypatch, statuses, error):
    from storm_exp.testing.toys import Add

    def leave(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Add, "run", leave)
    said = storm("recipe=sum")
    assert said.code == 1
    assert f"adder failed with {type(error).__name__}: {error}" in said.err
    assert statuses()["adder"] == "failed"


@pytest.mark.parametrize("error", [SystemExit(0), Own("end"), KeyError("x")])
@pytest.mark.parametrize(
    "hook", ["plan_spec", "fingerprint", "cost", "fetches", "notes", "idle_ports"]
)
def test_a_component_that_leaves_while_it_is_planned_is_named(storm, monkeypatch, hook, error):
    from storm_exp.testing.toys import Add

    def leave(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Add, hook, leave, raising=False)
    said = storm("plan", "recipe=sum")
    assert said.code == 1
    assert f": the component 'add' ({hook}) failed with {type(error).__name__}" in said.err


def test_a_component_that_leaves_while_it_is_built_is_named(storm, monkeypatch):
    from storm_exp.testing.toys import Number

    def leave(_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(Number, "__post_init__", leave)
    said = storm("plan", "recipe=sum")
    assert said.code == 1
    assert "source: the component 'number' (settings) failed with SystemExit" in said.err


def test_a_forecast_of_another_kind_is_refused(storm, monkeypatch):
    from storm_exp.testing.toys import Add

    monkeypatch.setattr(Add, "plan_spec", lambda self, number: {"value": 3})
    said = storm("plan", "recipe=sum")
    assert said.code == 1
    assert "the component 'add' (plan_spec) gave {'value': 3}, no ValueSpec" in said.err


def test_a_failing_stage_is_named_when_it_fails(storm):
    said = storm("recipe=sum", "adder=fussy", "source.value=9")
    assert said.err.index("adder failed with ArithmeticError") < said.err.index("] other (")


def test_an_error_that_no_terminal_can_show_is_shown_in_other_words(start, tmp_path):
    (tmp_path / "a").write_text("x", encoding="utf-8")
    odd = (
        "import sys; from storm_exp.testing.toys import Add; from storm_exp.__main__ import main\n"
    )
    odd += "def fail(*_, **__): raise ValueError('no \\udcff there')\n"
    odd += "Add.run = fail; sys.exit(main())"
    said = start("-c", odd, "recipe=sum", PYTHONIOENCODING="ascii").wait()
    assert said.code == 1
    assert "Traceback" not in said.err
    assert "adder failed with ValueError: no \\udcff there" in said.err
    (run,) = (tmp_path / "outputs/runs").iterdir()
    assert RunRecord.read(run).cells[0].stages[1].error.startswith("adder failed with ValueError")
    assert "no \\udcff there" in (run / "report.html").read_text(encoding="utf-8")

"""The sweeper `race`: cells are dropped by a test, the others end in one table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from storm_exp.testing import installed, run

QUIZ = Path(__file__).parents[2] / "toys_quiz"
RACE = ("-m", "hydra/sweeper=race", "recipe=quiz")


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    with installed(QUIZ):
        yield


@pytest.fixture
def storm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return partial(run, tmp_path)


def rows(folder):
    notes = json.loads((folder / "outputs/latest/sweep_notes.json").read_text())
    return {row[0]: row[1:] for row in notes["rows"]}


def test_worse_cells_are_dropped_at_once_and_those_alike_to_the_leader_survive(storm, tmp_path):
    said = storm(
        *RACE, "adder.amount=0.1,0.6,0.61,0.62,0.3", "seed=0,1,2", "evaluator.run_sd=0.005"
    )
    assert said.code == 0, said.err
    found = rows(tmp_path)
    left = {f"adder.amount={amount}" for amount in ("0.6", "0.61", "0.62")}
    assert {name for name, row in found.items() if row[0] == "left"} == left
    assert found["adder.amount=0.1"][:2] == ["dropped", "25 questions a task, 1 seed"]
    assert found["adder.amount=0.3"][0] == "dropped"
    assert all(found[name][1] == "all questions, 3 seeds" for name in left)
    cells = {cell.name for cell in said.record.cells}
    assert len(cells) == 9
    assert all(stage.status == "kept" for stage in said.record.stages())
    assert "dropped  adder.amount=0.1 at 25 questions a task, 1 seed: -0." in said.out
    assert "race     5 cells, 3 left after all questions, 3 seeds" in said.out
    assert "winner   adder.amount=0.6" in said.out
    report = (tmp_path / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert "<h2" in report and "Race" in report and "at most 5% of races" in report


def test_a_race_with_one_cell_left_ends(storm, tmp_path):
    said = storm(*RACE, "adder.amount=0.1,0.9", "seed=0,1")
    assert said.code == 0, said.err
    assert said.stage("evaluator").status == "kept"
    assert "winner   adder.amount=0.9, the only one left: storm-exp " in said.out
    assert "evaluator.limit=25 seed=0" in said.out


def test_a_race_that_was_killed_goes_on_and_reckons_with_what_it_had_spent(storm, tmp_path):
    words = (*RACE, "adder.amount=0.2,0.6,0.61", "seed=0,1")
    (tmp_path / "stop").touch()
    killed = storm(*words)
    assert killed.code == 130
    (file,) = (tmp_path / "outputs/store/races").glob("*.json")
    spent = json.loads(file.read_text())["hours"]
    assert spent > 0
    (tmp_path / "stop").unlink()
    said = storm(*words)
    assert said.code == 0, said.err
    assert json.loads(file.read_text())["hours"] > spent
    resumed = rows(tmp_path)
    assert storm(*words, "outputs=elsewhere").code == 0
    notes = json.loads((tmp_path / "elsewhere/latest/sweep_notes.json").read_text())
    assert {row[0]: row[1:] for row in notes["rows"]} == resumed


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"hours": "x"}'])
def test_hours_that_cannot_be_read_are_named(storm, tmp_path, content):
    words = (*RACE, "adder.amount=0.6,0.61", "seed=0,1")
    assert storm(*words).code == 0
    (file,) = (tmp_path / "outputs/store/races").iterdir()
    file.write_text(content)
    said = storm(*words)
    assert said.code == 1 and f"what a race has spent, outputs/store/races/{file.name}" in said.err
    file.unlink()
    assert storm(*words).code == 0


def test_a_race_stops_where_its_hours_end_and_ties_survive(storm, tmp_path):
    words = (*RACE, "adder.amount=0.6,0.61,0.62", "seed=0,1")
    said = storm(*words, "hydra.sweeper.hours=1e-9", "hydra.sweeper.questions=[20,40]")
    assert said.code == 0, said.err
    assert {tuple(row[:2]) for row in rows(tmp_path).values()} == {
        ("left", "20 questions a task, 1 seed")
    }
    assert "40 questions a task, 1 seed would have taken" in said.out
    assert "the test does not tell these apart from adder.amount=" in said.out


def test_a_rung_beyond_the_hours_is_run_for_as_many_of_the_best_as_they_pay_for(storm, tmp_path):
    words = (*RACE, "adder.amount=0.6,0.61,0.62", "seed=0,1", "hydra.sweeper.questions=[20]")
    stopped = storm(*words, "hydra.sweeper.hours=1e-9").out
    more = float(stopped.partition("would have taken ")[2].partition(" hours")[0])
    (file,) = (tmp_path / "outputs/store/races").glob("*.json")
    hours = json.loads(file.read_text())["hours"] + 0.8 * more
    said = storm(*words, f"hydra.sweeper.hours={hours}")
    assert said.code == 0, said.err
    assert "race: 2 of 3 cells, all questions, 1 seed" in said.err
    found = rows(tmp_path)
    assert {row[0] for row in found.values()} == {"left"}
    measured = [row[1] for row in found.values()]
    assert measured == ["all questions, 1 seed"] * 2 + ["20 questions a task, 1 seed"]
    assert "hours more; all questions, 1 seed was run for the 2 best" in said.out
    assert "race     3 cells, 3 left after all questions, 1 seed" in said.out
    assert len(said.record.cells) == 2


def test_rungs_of_fewer_training_steps_come_first_when_asked_for(storm, tmp_path):
    words = (*RACE, "adder=trained", "adder.amount=0.1,0.9", "hydra.sweeper.questions=[40]")
    steps = ("hydra.sweeper.steps=[40,80]", "hydra.sweeper.steps_of=adder")
    said = storm(*words, *steps)
    assert said.code == 0, said.err
    short = "40 steps, 40 questions a task, 1 seed"
    assert f"race: 2 of 2 cells, {short}" in said.err
    found = rows(tmp_path)
    assert found["adder.amount=0.1"][:2] == ["dropped", short]
    # The only one that is left is measured as the recipe trains it.
    assert found["adder.amount=0.9"][1] == "40 questions a task, 1 seed"
    assert not any("steps" in word for cell in said.record.cells for word in cell.overrides)
    caption = json.loads((tmp_path / "outputs/latest/sweep_notes.json").read_text())["caption"]
    assert "Rungs of fewer training steps are outside of this." in caption
    assert storm("plan", *words, *steps).plan.cells[0].overrides[-2:] == [
        "evaluator.limit=40",
        "adder.steps=40",
    ]


def test_a_cell_that_fails_is_told_and_the_race_goes_on(storm, tmp_path):
    said = storm(*RACE, "adder.amount=0.5,0.52,0.9", "evaluator.breaks_at=0.8")
    assert said.code == 0, said.err
    found = rows(tmp_path)["adder.amount=0.9"]
    assert found[0] == "failed"
    assert "the number is too good" in found[3]
    assert "failed   adder.amount=0.9 at 25 questions a task, 1 seed: " in said.out
    assert len(said.record.cells) == 2


def test_where_every_cell_fails_so_does_the_race(storm):
    said = storm(*RACE, "adder.amount=0.5,0.9", "evaluator.breaks_at=0.3")
    assert said.code == 1
    assert "no cell of the race came through: " in said.err


def test_too_few_hours_for_the_first_rung_are_refused_by_the_estimate(storm, tmp_path):
    words = ("recipe=storm", "merger.t=0.1,0.9", "hydra.sweeper.hours=0.001")
    said = storm("-m", "hydra/sweeper=race", *words)
    assert said.code == 1
    assert "hydra.sweeper.hours=0.001: the first rung takes about 0." in said.err
    assert not list(tmp_path.glob("outputs/runs/*"))


def test_plan_shows_the_first_rung(storm, tmp_path):
    said = storm("plan", *RACE, "adder.amount=0.5,0.9", "seed=0,1,2")
    assert said.code == 0, said.err
    assert [cell.overrides[-2:] for cell in said.plan.cells] == [
        ["evaluator.limit=25", "seed=0"]
    ] * 2
    assert not (tmp_path / "outputs/store").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["adder.amount=1"], "a race has two cells or more"),
        (["adder.amount=1,1"], "a race has two cells or more"),
        (["adder.amount=interval(0,1)"], "an interval names no values"),
        (["seed=interval(0,1)"], "an interval names no values"),
        (["hydra.sweeper.error=0.7"], "hydra.sweeper.error=0.7: must be above 0 and below 0.5"),
        (["hydra.sweeper.run_sd=-1"], "hydra.sweeper.run_sd=-1.0: must be at least 0"),
        (["hydra.sweeper.questions=[50,20]"], "hydra.sweeper.questions=[50, 20]: must rise"),
        (["hydra.sweeper.questions=[1]"], "hydra.sweeper.questions=[1]: must rise, from 2"),
        (["hydra.sweeper.steps=[5]"], "hydra.sweeper.steps_of=finetuner: this recipe has no such"),
        (["hydra.sweeper.steps=[9,8]"], "hydra.sweeper.steps=[9, 8]: must rise, from 1"),
        (
            ["adder=trained", "hydra.sweeper.steps_of=adder", "hydra.sweeper.steps=[9,100]"],
            "hydra.sweeper.steps=[9, 100]: adder.steps=100 trains no longer",
        ),
        (["hydra.sweeper.hours=0"], "hydra.sweeper.hours=0.0: must be above 0"),
        (["evaluator.limit=60"], "evaluator.limit=60 asks no more"),
        (["recipe=sum"], "a race needs an evaluator with the setting `limit`"),
        (["hydra.sweeper.question=[5]"], "did you mean"),
    ],
)
def test_what_is_no_race_is_refused_before_anything_is_made(storm, tmp_path, words, part):
    said = storm(*RACE, "adder.amount=0.1,0.2", *words)
    assert said.code == 1
    assert part in said.err
    assert "Error in call to target" not in said.err
    assert not (tmp_path / "outputs/store").exists()

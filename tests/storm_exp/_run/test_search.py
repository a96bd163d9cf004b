"""The sweeper `optuna`: batches planned as one, a study that goes on, one table at the end."""

from __future__ import annotations

import json
import sys

import pytest

SEARCH = ("-m", "hydra/sweeper=optuna", "recipe=sum", "hydra.sweeper.batch=3")
SPACE = "adder.amount=interval(-5,5)"


def studies(folder):
    return sorted((folder / "outputs/store/studies").glob("*.jsonl"))


def trials(folder):
    notes = json.loads((folder / "outputs/latest/sweep_notes.json").read_text())
    return [dict(zip(notes["header"], row, strict=True)) for row in notes["rows"]]


def test_a_search_makes_batches_and_ends_as_a_grid_does(storm, record, made, tmp_path):
    said = storm(*SEARCH, SPACE, "hydra.sweeper.n_trials=5")
    assert said.code == 0, said.err
    run = record()
    assert len(run.cells) == 5
    assert made() == {}
    assert (tmp_path / "outputs/latest/sweep.csv").is_file()
    assert len(list((tmp_path / "outputs/runs").iterdir())) == 3
    report = (tmp_path / "outputs/latest/report.html").read_text(encoding="utf-8")
    assert "Search by optuna (tpe)" in report
    assert [row["trial"] for row in trials(tmp_path)] == ["0", "1", "2", "3", "4"]
    figures = {row["adder.amount"]: float(row["score"]) for row in trials(tmp_path)}
    assert figures == pytest.approx({amount: 13 + float(amount) for amount in figures}, rel=1e-3)
    (best,) = (row for row in trials(tmp_path) if row[""] == "best")
    assert float(best["score"]) == max(figures.values())


def test_a_search_that_was_killed_goes_on_to_the_same_trials(storm, tmp_path):
    words = (*SEARCH, SPACE, "hydra.sweeper.n_trials=6", "hydra.sweeper.batch=2")
    assert storm(*words).code == 0
    whole = trials(tmp_path)
    (file,) = studies(tmp_path)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    asked = next(n for n, line in enumerate(lines) if '"trial_id":3' in line)
    # Killed while it wrote a line of trial 3, after trial 2 was told and before the end of it.
    file.write_text("".join(lines[:asked]) + lines[asked][:20], encoding="utf-8")
    assert storm(*words).code == 0
    assert trials(tmp_path) == whole
    assert storm(*words).code == 0
    assert trials(tmp_path) == whole


def test_further_trials_add_to_a_study_and_a_changed_recipe_begins_another(storm, tmp_path):
    assert storm(*SEARCH, SPACE, "hydra.sweeper.n_trials=3").code == 0
    first = trials(tmp_path)
    said = storm(*SEARCH, SPACE, "hydra.sweeper.n_trials=4")
    assert "the study has 3 trials; 1 are to come" in said.err
    assert [row["score"] for row in trials(tmp_path)[:3]] == [row["score"] for row in first]
    assert storm(*SEARCH, SPACE, "hydra.sweeper.n_trials=1", "total.factor=2").code == 0
    assert len(studies(tmp_path)) == 2


def test_a_trial_that_fails_is_told_and_the_others_count(storm, record, tmp_path):
    words = ("adder=fussy", "source.value=range(1,9)", "hydra.sweeper.sampler=random")
    said = storm(*SEARCH, *words, "hydra.sweeper.n_trials=8", "hydra.sweeper.batch=8")
    assert said.code == 0, said.err
    failed = [row for row in trials(tmp_path) if "failed" in row[""]]
    assert failed
    assert all(float(row["source.value"]) > 5 for row in failed)
    assert all("that is too much" in row[""] for row in failed)
    assert "failed   trial " in said.out
    assert all(stage.status == "kept" for stage in record().stages())


def test_a_trial_that_cannot_be_planned_is_told(storm, tmp_path):
    said = storm(*SEARCH, "adder.amount=0,1,500", "source.value=1,2", "hydra.sweeper.n_trials=6")
    assert said.code == 0, said.err
    reasons = [row[""] for row in trials(tmp_path) if row["adder.amount"] == "500"]
    assert reasons
    assert all("the sum would be more than 100" in reason for reason in reasons)


def test_seeds_are_not_searched_but_averaged(storm, record, tmp_path):
    words = ("source=drawn", "seed=1,2", SPACE, "hydra.sweeper.n_trials=2")
    said = storm(*SEARCH, *words)
    assert said.code == 0, said.err
    run = record()
    assert len(run.cells) == 4
    totals: dict[str, list[float]] = {}
    for cell in run.cells:
        amount = next(w for w in cell.overrides if w.startswith("adder.amount=")).split("=")[1]
        totals.setdefault(amount, []).append(cell.stages[-1].metrics["value"])
    for row in trials(tmp_path):
        expected = sum(totals[row["adder.amount"]]) / 2
        assert float(row["score"]) == pytest.approx(expected, rel=1e-3)


def test_several_objectives_end_in_their_front(storm, tmp_path):
    goals = ("hydra.sweeper.maximize=[total/value]", "hydra.sweeper.minimize=[adder]")
    said = storm(*SEARCH, SPACE, *goals, "hydra.sweeper.n_trials=3")
    assert said.code == 0, said.err
    assert said.out.count("front    trial ") == 3  # whatever adds to one adds to the other
    assert {"total/value", "adder"} <= set(trials(tmp_path)[0])


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp", "nsgaii", "nsgaiii"])
def test_every_sampler_plans_a_batch_of_the_space(storm, tmp_path, sampler):
    words = (f"hydra.sweeper.sampler={sampler}", "seed=3", "source.value=tag(log,interval(0.1,9))")
    said = storm("plan", *SEARCH, SPACE, *words, "total.factor=1,2")
    assert said.code == 0, said.err
    assert len({cell.name for cell in said.plan.cells}) == 3
    assert not studies(tmp_path)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["hydra.sweeper.sampler=tpee"], ["sampler=tpee: unknown; did you mean 'tpe'?"]),
        (
            ["hydra.sweeper.sampler=cmaes"],
            ["sampler=cmaes: unknown; known are: gp, nsgaii, nsgaiii, qmc, random, tpe\n"],
        ),
        (["+hydra.sweeper.options.startup=3"], ["options.startup: unknown to tpe", "n_startup"]),
        (["+hydra.sweeper.options.gamma=x"], ["options.gamma: unknown to tpe"]),
        (
            ["hydra.sweeper.sampler=nsgaii", "+hydra.sweeper.options.population_size=1"],
            ["nsgaii says", "population_size"],
        ),
        (["hydra.sweeper.maximize=[totl]"], ["maximize: 'totl'", "did you mean 'total'?"]),
        (["hydra.sweeper.minimize=[total/loss]"], ["total reports no 'loss'", "reports value"]),
        (["hydra.sweeper.maximize=[total]", "hydra.sweeper.minimize=[total]"], ["named twice"]),
        (["hydra.sweeper.n_trials=0"], ["n_trials=0: must be between 1"]),
        (["hydra.sweeper.batch=0"], ["batch=0: must be between 1"]),
        (["adder.amount=1,2"], ["n_trials=20: the space has 2 points, and a grid"]),
        (["adder.amount=1"], ["no setting has values to search"]),
        (["adder.amount=interval(3,1)"], ["interval(3,1): an interval has a start below"]),
        (["adder.amount=tag(log,interval(0,1))"], ["starts above 0"]),
        (["adder.amount=interval(500,600)"], ["the sum would be more than 100"]),
        (["adder.amuont=interval(0,1)"], ["adder.amuont", "'amount'"]),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_is_kept(storm, tmp_path, words, parts):
    said = storm(*SEARCH, SPACE, *words)
    assert said.code == 1
    assert all(part in said.err for part in parts), said.err
    if "loss" not in parts[0]:
        assert not (tmp_path / "outputs/store").exists()


def test_where_every_trial_fails_so_does_the_search(storm, tmp_path):
    said = storm(*SEARCH, "adder=fussy", "source.value=interval(6,9)")
    assert said.code == 1
    assert "that is too much" in said.err


def test_a_study_that_cannot_be_read_is_named(storm, tmp_path):
    assert storm(*SEARCH, SPACE, "hydra.sweeper.n_trials=1").code == 0
    (file,) = studies(tmp_path)
    file.write_text("{}\nno JSON\n{}\n", encoding="utf-8")
    said = storm(*SEARCH, SPACE, "hydra.sweeper.n_trials=1")
    assert said.code == 1
    assert f"{file.name}: it cannot be read" in said.err


def test_without_optuna_the_command_that_installs_it_is_told(storm, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = storm(*SEARCH, SPACE)
    assert said.code == 1
    assert "hydra/sweeper=optuna needs the package optuna: pip install " in said.err
    assert "[optuna]" in said.err

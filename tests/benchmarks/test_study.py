"""The study: every run is written up somewhere, and differences have the right sign."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import Sample

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("STORM_EXP_STUDY", str(tmp_path))
    import study

    yield study
    for name in ("study", "study_pages", "study_tables", "study_headline", "results"):
        sys.modules.pop(name, None)


@pytest.fixture
def groups(tmp_path):
    """Two models over three seeds: `good` answers 30 of 40 questions, `bad` 10 of them."""
    tasks = [f"tinyworld_{name}" for name in ("following", "lookup", "reasoning", "tools")]
    found = {"good": [], "bad": []}
    for name, right in (("good", 30), ("bad", 10)):
        for seed in range(3):
            folder = tmp_path / f"{name}{seed}"
            folder.mkdir()
            scores = {task: [float(n < right + seed) for n in range(40)] for task in tasks}
            scores["tinyworld_loss"] = [(2 if name == "bad" else 1) + n / 40 for n in range(40)]
            samples = [
                Sample(task=task, document=str(n), score=score)
                for task, values in scores.items()
                for n, score in enumerate(values)
            ]
            evaluation = Evaluation(folder)
            metrics = dict.fromkeys(tasks, ("exact_match", True))
            metrics["tinyworld_loss"] = ("nats_per_character", False)
            evaluation.write(metrics, samples, {}, "none")
            found[name].append(evaluation)
    return found


def test_every_page_has_runs_and_every_run_left_its_table(study) -> None:
    assert set(study.RUNS) == set(study.PAGES)
    tables = {file.stem for file in (ROOT / "benchmarks/study").glob("*.csv")}
    for page, runs in study.RUNS.items():
        text = (ROOT / f"docs/recipes/{page}.md").read_text(encoding="utf-8")
        assert text.count("<!-- measured -->") == 1
        assert study.OUTDATED in text or set(runs) <= tables, page


def test_names_of_runs_are_used_once(study) -> None:
    names = [name for runs in study.RUNS.values() for name in runs]
    assert len(names) == len(set(names))


def test_differences_are_of_the_first_named_minus_the_second(study, groups) -> None:
    from study_tables import difference_table, documents, score_table

    assert documents(groups) == 160  # and their losses, which are no further questions
    better = difference_table(groups, [("good", "bad")])
    assert "| good − bad | +0.500 | [+0.4" in better
    assert better.count("| better |") == 2 and "| -1.000 |" in better
    worse = difference_table(groups, [("bad", "good")])
    assert "| bad − good | -0.500 | [-0.5" in worse and worse.count("| worse |") == 2
    assert "| good | 0.775 ± 0.025 |" in score_table(groups)
    assert score_table(groups).splitlines()[0].endswith("| mean | loss |")


def test_a_run_that_was_made_is_not_made_again_unless_more_is_asked(study, monkeypatch) -> None:
    asked = []

    def run(command, stdout, **_):
        asked.append(command)
        stdout.write("run      outputs/runs/one\n")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(study.subprocess, "run", run)
    for seeds in (3, 3, 5):
        assert study.run("solar", ["recipe=solar"], seeds) == ""
    assert [command[-2] for command in asked] == ["seed=0,1,2", "seed=0,1,2,3,4"]


def test_a_run_that_fails_is_named_and_the_others_go_on(study, monkeypatch, capsys) -> None:
    runs = {"one": {"bad": ["no=recipe"], "good": ["recipe=solar"]}}
    monkeypatch.setattr(study, "RUNS", runs)
    done = []

    def run(command, stdout, **_):
        done.append(command[3])
        stdout.write("error: no such recipe\n" if "no=recipe" in command else "run  outputs/one\n")
        return subprocess.CompletedProcess(command, int("no=recipe" in command))

    monkeypatch.setattr(study.subprocess, "run", run)
    monkeypatch.setattr(study, "write", lambda page: pytest.fail("written without its runs"))
    monkeypatch.setattr(sys, "argv", ["study.py"])
    with pytest.raises(SystemExit) as ended:
        study.main()
    assert sorted(done) == ["no=recipe", "recipe=solar"]
    said = str(ended.value)
    assert (
        "bad failed: error: no such recipe" in said and "one is not written: it lacks bad" in said
    )
    assert "bad failed" in capsys.readouterr().out


def test_without_a_name_every_page_is_written(study, monkeypatch, tmp_path) -> None:
    written = []
    monkeypatch.setattr(study, "write", written.append)
    monkeypatch.setattr(study, "write_overview", lambda: written.append("overview"))
    for runs in study.RUNS.values():
        for name in runs:
            (tmp_path / f"{name}.txt").write_text("outputs/runs/one")
    for arguments, pages in (([], list(study.RUNS)), (["solar"], ["solar"])):
        written.clear()
        monkeypatch.setattr(sys, "argv", ["study.py", "--only-write", *arguments])
        study.main()
        assert written == [*pages, "overview"]


def test_every_page_can_be_written_and_its_arms_are_of_its_runs(study, monkeypatch, groups) -> None:
    import study_pages

    used = set()

    def group(run, model, *overrides):
        used.add(run)
        return groups["good" if "base" in model else "bad"]

    def remember(run, *_):
        used.add(run)
        return run

    monkeypatch.setattr(study_pages, "group", group)
    monkeypatch.setattr(
        study_pages, "models", lambda run, names: {name: group(run, name) for name in names}
    )
    for name in ("sweep_markdown", "cells"):
        monkeypatch.setattr(study_pages, name, remember)
    monkeypatch.setattr(study_pages, "judge_table", str)
    for page, write in study.PAGES.items():
        used.clear()
        text = "\n".join(write())
        assert used == set(study.RUNS[page]), page
        assert "3 seeds" in text and "| undecided |" not in text.partition("| verdict |")[0]


def test_the_overview_s_arms_are_of_runs_of_the_study(study, monkeypatch, groups) -> None:
    import study_headline

    asked = []
    monkeypatch.setattr(
        study_headline, "group", lambda run, *_: asked.append(run) or groups["good"]
    )
    table = study_headline.headline()
    assert set(asked) <= {name for runs in study.RUNS.values() for name in runs}
    assert "| Storm | curated by the model itself | 3 | 0.775 ± 0.025 | 1.488 ± 0.000 |" in table
    assert table.count("\n") == 1 + sum(map(len, study_headline.ARMS.values()))

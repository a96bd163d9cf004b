"""The study: every run is written up somewhere, and differences have the right sign."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from storm_evaluation.evaluation import Evaluation, Sample

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("STORM_EXP_STUDY", str(tmp_path))
    import study

    yield study
    for name in ("study", "study_pages", "study_tables", "results"):
        sys.modules.pop(name, None)


@pytest.fixture
def groups(tmp_path):
    """Two models over two seeds: `good` answers 30 of 40 questions, `bad` the first 10 of them."""
    found = {"good": [], "bad": []}
    for name, right in (("good", 30), ("bad", 10)):
        for seed in range(2):
            folder = tmp_path / f"{name}{seed}"
            folder.mkdir()
            samples = [
                Sample(task="tinyworld_lookup", document=str(n), score=float(n < right + seed))
                for n in range(40)
            ]
            evaluation = Evaluation(folder)
            evaluation.write({"tinyworld_lookup": ("exact_match", True)}, samples, {}, "none")
            found[name].append(evaluation)
    return found


def test_every_page_has_runs_and_every_run_left_its_table(study) -> None:
    assert set(study.RUNS) == set(study.PAGES)
    for page, runs in study.RUNS.items():
        text = (ROOT / f"docs/recipes/{page}.md").read_text(encoding="utf-8")
        assert text.count("<!-- measured -->") == 1
        for name in runs:
            assert (ROOT / f"benchmarks/study/{name}.csv").is_file()


def test_names_of_runs_are_used_once(study) -> None:
    names = [name for runs in study.RUNS.values() for name in runs]
    assert len(names) == len(set(names))


def test_differences_are_of_the_first_named_minus_the_second(study, groups) -> None:
    from study_tables import difference_table, documents, score_table

    assert documents(groups) == 40
    assert "| good − bad | +0.500 | [+0.3" in difference_table(groups, [("good", "bad")])
    assert "| bad − good | -0.500 | [-0.6" in difference_table(groups, [("bad", "good")])
    assert "| good | 0.762 ± 0.018 | 0.762 ± 0.018 |" in score_table(groups)


def test_a_run_that_was_made_is_not_made_again(study, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(study.subprocess, "run", None)
    (tmp_path / "solar.txt").write_text("outputs/runs/one")
    study.run("solar", [])


def test_without_a_name_every_page_is_written(study, monkeypatch) -> None:
    written = []
    monkeypatch.setattr(study, "write", written.append)
    monkeypatch.setattr(sys, "argv", ["study.py", "--only-write"])
    study.main()
    assert written == list(study.RUNS)
    written.clear()
    monkeypatch.setattr(sys, "argv", ["study.py", "--only-write", "solar"])
    study.main()
    assert written == ["solar"]

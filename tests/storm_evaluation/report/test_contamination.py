"""Scores with and without the questions that a decontaminator found, in the report of a run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from storm_data.dataset import Dataset
from storm_data.decontaminators.ngrams import Ngrams, Touched
from storm_data.questions.questions import Question, Questions
from storm_data.rows.arrow_schema import document_schema
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.report.contamination import scores, was_trained_on
from storm_evaluation.report.lineup import Lineup
from storm_evaluation.sample import Sample
from storm_exp.report import CellRecord, StageRecord
from storm_exp.testing import make_stage, run_component

TEXTS = [f"Which of the {n} famous bridges was built in the year {n} plus {n}?" for n in range(40)]
HELD = range(8)
"""The questions that the data holds."""


def stage(name: str, directory: Path | str = "", **inputs: Any) -> StageRecord:
    return StageRecord(
        stage=name.partition("[")[0],
        element=name.partition("[")[2].rstrip("]"),
        component="any",
        artifact="Checkpoint",
        key=name,
        inputs=inputs,
        status="made",
        settings={},
        spec={},
        directory=str(directory),
    )


def evaluation(folder: Path, right: set[int]) -> Evaluation:
    folder.mkdir()
    made = Evaluation(folder)
    samples = [
        Sample(task="bridges", document=f"q{n}", score=float(n in right)) for n in range(len(TEXTS))
    ]
    made.write({"bridges": ("acc", True)}, samples, {}, "test")
    return made


@pytest.fixture
def lineup(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Lineup, StageRecord]:
    """A model of the leaky rows and one of those that were left, and the stage between them."""
    questions, data = Questions(tmp_path / "questions"), Dataset(tmp_path / "data")
    for artifact in (questions, data):
        artifact.directory.mkdir()
    questions.write(Question(f"q{n}", "bridges", text) for n, text in enumerate(TEXTS[:-2]))
    rows = [{"id": f"r{n}", "text": TEXTS[n], "source": "s"} for n in HELD]
    rows.append({"id": "other", "text": "No bridge at all.", "source": "s"})
    data.write("train", rows, document_schema())
    settings = Ngrams(n=3, touched=getattr(request, "param", Touched.remove))
    cleaned = run_component(settings, make_stage(tmp_path, "cleaned"), data, [questions])
    half = set(range(20, 40))
    made = {
        "base": evaluation(tmp_path / "base", half),
        "leaky": evaluation(tmp_path / "leaky", half | set(HELD)),
        "clean": evaluation(tmp_path / "clean", half),
    }
    found = stage("cleaner", cleaned.directory, data="data", questions=["asked"])
    stages = [
        stage("data", data.directory),
        stage("asked", questions.directory),
        found,
        stage("base"),
        stage("leaky", model="base", data="data"),
        stage("clean", model="base", data="cleaner"),
        stage("merged", models=["clean", "leaky"]),
    ]
    evaluated = [stage(f"evaluator[{n}]", e.directory, model=n) for n, e in made.items()]
    cell = CellRecord(name="", overrides=[], config={}, stages=[*stages, *evaluated])
    summaries = [e.summary() for e in made.values()]
    return Lineup("evaluator", cell, evaluated, summaries, None), found


def rows_of(html: str) -> list[list[str]]:
    found = re.findall(r"<tr>(.*?)</tr>", html, re.S)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in found]


def test_the_scores_are_told_with_and_without_touched_questions(
    lineup: tuple[Lineup, StageRecord],
) -> None:
    html = str(scores(*lineup))
    assert "8 of 40 questions of the evaluation are held" in html
    assert "2 others were not searched for" in html
    rows = {(row[0], len(row)): row for row in rows_of(html)}
    assert rows["leaky", 6][1:5] == ["had them", "0.700", "0.625", "+0.075"]
    assert rows["clean", 6][1:5] == ["without them", "0.500", "0.625", "-0.125"]
    assert rows["leaky", 5][1:4] == ["+0.200", "+0.000", "+0.200"]
    assert rows["clean", 5][1:4] == ["+0.000", "+0.000", "+0.000"]


def test_tasks_of_which_every_question_was_held_are_named_and_the_others_told(
    lineup: tuple[Lineup, StageRecord],
) -> None:
    for position, made in enumerate(lineup[0].evaluations):
        folder = Path(lineup[0].stages[position].directory)
        whole = list(Evaluation(folder).samples())
        held = [Sample(task="held", document=f"q{n}", score=float(position == 1)) for n in HELD]
        Evaluation(folder).write(
            {"bridges": ("acc", True), "held": ("acc", True)}, [*whole, *held], {}, ""
        )
        made["tasks"] = Evaluation(folder).summary()["tasks"]
    html = str(scores(*lineup))
    assert "Of held all are, so nothing below is of these." in html
    rows = {(row[0], len(row)): row for row in rows_of(html)}
    assert rows["leaky", 6][1:5] == ["had them", "0.700", "0.625", "+0.075"]
    for position in range(3):
        folder = Path(lineup[0].stages[position].directory)
        held = [s for s in Evaluation(folder).samples() if s.task == "held"]
        Evaluation(folder).write({"held": ("acc", True)}, held, {}, "")
    html = str(scores(*lineup))
    assert "8 of 8 questions of the evaluation are held" in html and "<table" not in html


def test_an_evaluation_of_other_tasks_beside_is_left_out(
    lineup: tuple[Lineup, StageRecord],
) -> None:
    folder = Path(lineup[0].stages[1].directory)
    Evaluation(folder).write(
        {"other": ("acc", True)}, [Sample(task="other", document="x", score=1.0)], {}, ""
    )
    rows = [row[0] for row in rows_of(str(scores(*lineup)))]
    assert "clean" in rows and "leaky" not in rows


def test_a_merge_with_a_model_that_had_the_questions_had_them(
    lineup: tuple[Lineup, StageRecord],
) -> None:
    cell, found = lineup[0].cell, lineup[1]
    had = [was_trained_on(cell, name, found) for name in ("base", "leaky", "clean", "merged")]
    assert had == [False, True, False, True]


@pytest.mark.parametrize("lineup", [Touched.mark], indirect=True)
def test_a_model_of_rows_that_are_only_marked_had_the_questions(
    lineup: tuple[Lineup, StageRecord],
) -> None:
    assert was_trained_on(lineup[0].cell, "clean", lineup[1])


def test_nothing_is_said_where_no_question_was_held(
    lineup: tuple[Lineup, StageRecord],
) -> None:
    (Path(lineup[1].directory) / "hits.jsonl").chmod(0o644)
    (Path(lineup[1].directory) / "hits.jsonl").write_text("")
    assert not scores(*lineup)

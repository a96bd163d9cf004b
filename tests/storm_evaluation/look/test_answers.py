"""Answers of several models, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_up import NAUGHTY, Maker, cell, show
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.look.evaluation_view import EvaluationView
from storm_evaluation.sample import Sample
from storm_report.look.view import Choice, Subject

SCORES = {"base": [0, 1, 0], "merged": [0, 1, 1]}


def write(folder: Path, model: str) -> None:
    samples = [
        Sample(
            task="sums",
            document=f"d{number}",
            score=score,
            prompt=f"question {number}",
            prediction=f"{model} says {number} {NAUGHTY}",
            target=str(number),
        )
        for number, score in enumerate(SCORES[model])
    ]
    folder.mkdir(parents=True, exist_ok=True)
    Evaluation(folder).write({"sums": ("acc", True)}, samples, {}, "")


def test_the_answers_of_all_models_stand_beside_each_other(tmp_path):
    subjects = []
    for model in SCORES:
        write(tmp_path / model, model)
        subjects.append(Subject(name=f"evaluator[{model}]", place=tmp_path / model))
    assert all(EvaluationView().opens(subject.place) for subject in subjects)
    listing = EvaluationView().show(subjects, Choice(first=1))
    second, third = listing.examples
    assert listing.title == "answers of base, merged"
    assert third.title == "document 3 · sums"
    assert [(part.title, part.beside) for part in third.parts] == [
        ("prompt", False),
        ("expected", False),
        ("base", True),
        ("merged", True),
    ]
    assert [part.facts for part in third.parts[2:]] == ["score 0", "score 1"]
    assert second.parts[3].text().startswith("merged says 1")


@pytest.fixture
def page(tmp_path):
    make = Maker(tmp_path)
    stages = [
        make.stage("evaluator", "Evaluation", {}, element=model, inputs={"model": model})
        for model in SCORES
    ]
    for stage in stages:
        write(Path(stage.directory), stage.element)
    return show(make.run(cell(*stages)))


def test_the_report_shows_first_what_models_answer_differently(page):
    text = page.text[page.text.rindex("Answers") :].partition("Questions that models")[0]
    assert text.index("document 3 · sums") < text.index("document 1 · sums")
    assert "question 2" in text and f"merged says 2 {NAUGHTY}" in text
    assert len(page.scripts) == [tag for tag, _ in page.tags].count("script") == 1

"""The report's questions that models answer differently."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from made_ablation import ablation
from made_up import NAUGHTY, Maker, Page, cell, show
from storm_evaluation import evaluation
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import Sample
from storm_exp.report import RunRecord

HOSTILE = f"""x' data-group='"&{NAUGHTY}"""
"""A name of a task from somebody's files."""


def sample(task: str, number: int, model: str, score: float) -> Sample:
    return Sample(
        task=task,
        document=f"d{number}",
        score=score,
        prompt=f"question {number} {NAUGHTY}",
        prediction=f"{model} says {number}",
        target=str(number),
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunRecord]:
    """Return a function that makes a run of evaluations of the scores of models by task."""

    def made(**scores: dict[str, list[float]]) -> RunRecord:
        make = Maker(tmp_path)
        stages = []
        for model, tasks in scores.items():
            stage = make.stage(
                "evaluator", "Evaluation", {}, element=model, inputs={"model": model}
            )
            samples = [
                sample(task, number, model, score)
                for task, values in tasks.items()
                for number, score in enumerate(values)
            ]
            metrics = dict.fromkeys(tasks, ("acc", True))
            folder = Path(stage.directory)
            folder.mkdir(parents=True, exist_ok=True)
            Evaluation(folder).write(metrics, samples, {}, "")
            stages.append(stage)
        return make.run(cell(*stages))

    return made


def entries(page: Page) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in page.tags if attributes.get("class") == "entry"]


def test_questions_with_other_scores_stand_with_target_and_both_answers(run) -> None:
    page = show(run(base={"sums": [0, 1, 0]}, merged={"sums": [0, 1, 1]}))
    (entry,) = entries(page)
    assert entry["data-group"] == "sums" and entry["data-scores"] == "0.0 1.0"
    text = page.text[page.text.index("Questions that models answer differently") :]
    assert "1 question of the 1 that these models answered with different scores." in text
    assert "3 · sums: base 0, merged 1" in text
    for shown in ("expected", "base says 2", "merged says 2", f"question 2 {NAUGHTY}"):
        assert shown in text


def test_names_and_contents_of_others_are_text(run) -> None:
    page = show(run(base={HOSTILE: [0]}, merged={HOSTILE: [1]}))
    (entry,) = entries(page)
    assert entry["data-group"] == HOSTILE
    options = [values for tag, values in page.tags if tag == "option"]
    assert HOSTILE in [values["value"] for values in options]
    assert [tag for tag, _ in page.tags].count("script") == 1


def test_of_many_a_bounded_number_is_shown_and_the_count_said(run) -> None:
    scores = {"many": [0.0] * 500, "few": [0.0] * 10}
    page = show(run(base=scores, merged={task: [1.0] * len(v) for task, v in scores.items()}))
    shown = [entry["data-group"] for entry in entries(page)]
    assert (shown.count("many"), shown.count("few")) == (50, 10)
    assert "60 questions of the 510 that these models answered" in page.text


def test_a_model_that_was_not_asked_has_no_score(run) -> None:
    page = show(run(base={"a": [0], "b": [0]}, merged={"a": [1], "b": [1]}, small={"a": [0]}))
    scores = {entry["data-group"]: entry["data-scores"] for entry in entries(page)}
    assert scores == {"a": "0.0 1.0 0.0", "b": "0.0 1.0 nan"}


def test_models_that_answer_alike_have_no_section(run) -> None:
    page = show(run(base={"sums": [0, 1]}, merged={"sums": [0, 1]}))
    assert not re.search("Questions that models answer differently", page.text)


def test_the_records_of_a_model_are_read_once_for_all_sections_of_a_page(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(base={"sums": [0, 1]}, merged={"sums": [1, 1]}, small={"sums": [0, 0]})
    read: list[Path] = []
    reading = evaluation.read_samples
    monkeypatch.setattr(
        evaluation, "read_samples", lambda file: (read.append(file), reading(file))[1]
    )
    text = show(record).text
    assert "Answers" in text and "Questions that models answer differently" in text
    assert len(read) == len(set(read)) == 3


def test_cells_that_evaluate_one_model_each_are_shown_beside_each_other(tmp_path: Path) -> None:
    page = show(ablation(tmp_path / "run"))
    titles = re.findall(
        r"tasks_(?:easy|other): (recipe \d, without \w+ \d, without \w+ \d)", page.text
    )
    assert "Models are those of seed=0." in page.text
    assert len(titles) == len(entries(page)) > 0
    assert {re.sub(r" \d", "", title) for title in titles} == {
        "recipe, without curation, without merging"
    }

"""A sweep's report says which cell is best, where its model is, and what is not dominated."""

from __future__ import annotations

import csv

import pytest

from made_up import Maker, Page, cell, show
from storm_exp.report import CellRecord, RunRecord
from storm_report.cell_names import cell_name
from storm_report.trade_offs import trade_off_sections

Model = tuple[float, int, float]
"""Its score, parameters, and seconds."""


def evaluated(make: Maker, model: Model, *overrides: str, metric: str = "score") -> CellRecord:
    """Return a cell whose model comes from one that all share, and was measured on data."""
    score, parameters, seconds = model
    teacher = make.stage("teacher", "Checkpoint", seconds=100.0, spec={"parameters": 9})
    student = make.stage(
        "student",
        "Checkpoint",
        {"model.safetensors": "x" * (parameters - 2)},
        inputs={"model": teacher.key, "teacher": [teacher.key]},
        seconds=seconds,
        spec={"parameters": parameters},
        settings=dict(enumerate(overrides)),
        shown_as="model",
    )
    measured = make.stage(
        "evaluator",
        "Evaluation",
        inputs={"model": student.key},
        element="student",
        metrics={metric: score},
        main_metric=metric,
        measured_on={metric: "rows"},
    )
    return cell(teacher, student, measured, overrides=("recipe=storm", *overrides))


def grid(make: Maker, *models: Model, metric: str = "score") -> RunRecord:
    return make.run(*(evaluated(make, m, f"size={n}", metric=metric) for n, m in enumerate(models)))


def rows(make: Maker) -> list[dict[str, str]]:
    """The table of the section, as it stands beside the page."""
    file = max((make.folder / "run/report.files").glob("score-against-size-and-cost-*.csv"))
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_what_is_not_dominated_is_told_in_words_and_by_shape(make):
    page = show(grid(make, (0.5, 20, 10.0), (0.7, 30, 90.0), (0.6, 40, 50.0)))
    assert [row["score against parameters"] for row in rows(make)] == [
        "◆ not dominated",
        "◆ not dominated",
        "○ dominated by 2",
    ]
    assert [row["score against seconds"] for row in rows(make)] == ["◆ not dominated"] * 3
    assert [row["cell"] for row in rows(make)] == ["size=0", "size=1", "size=2"]
    hollow = [a for tag, a in page.tags if tag == "circle" and a.get("class") == "hollow"]
    assert len(hollow) == 2  # against parameters and against bytes
    label = next(a["aria-label"] or "" for _, a in page.tags if "over parameters" in str(a))
    assert "3 size=2, 0.600 at 40, dominated" in label and "2 size=1, 0.700 at 30;" in label


def test_time_is_that_of_all_stages_that_a_model_comes_from_each_once(make):
    page = show(grid(make, (0.5, 20, 20.0), (0.7, 20, 60.0)))
    assert [row["seconds"] for row in rows(make)] == ["2 min 0 s", "2 min 40 s"]
    whole, apart = 100 + 20 + 60 + 3, 200 + 20 + 60 + 3
    assert f"took {whole // 60} min {whole % 60} s, stages that cells share" in page.text
    assert f"would have taken {apart // 60} min {apart % 60} s" in page.text
    assert "The same in all cells, parameters: 20; bytes: 20 B." in page.text


def test_of_a_loss_less_is_better(make):
    show(grid(make, (0.5, 20, 1.0), (0.7, 30, 9.0), metric="loss"))
    assert [row["score against parameters"] for row in rows(make)] == [
        "◆ not dominated",
        "○ dominated by 1",
    ]


def test_scores_over_seeds_have_intervals_and_of_one_seed_the_page_says_that_there_is_none(make):
    cells = [
        evaluated(make, (score + seed / 100, size, 1.0), f"size={size}", f"seed={seed}")
        for size, score in ((20, 0.5), (30, 0.7))
        for seed in (0, 1, 2)
    ]
    page = show(make.run(*cells))
    assert "Means over 3 seeds, whiskers: 95 % intervals of the mean" in page.text
    (first, _) = rows(make)
    assert (first["n"], first["score of evaluator"]) == ("3", "0.51")
    assert float(first["score of evaluator high"]) == pytest.approx(
        0.51 + 4.3027 * 0.01 / 3**0.5, 1e-3
    )
    assert (
        "One seed of each cell: no intervals." in show(grid(make, (0.5, 20, 1), (0.7, 30, 9))).text
    )


def test_cells_that_cannot_be_compared_have_no_such_section(make):
    one, two = (evaluated(make, (0.1 * n, 20, 1.0), f"a={n}") for n in (1, 2))
    two.stages[-1].measured_on = {"score": "other rows"}
    assert trade_off_sections(make.run(one, two)) == []
    assert "No cell wins: the cells are measured on different data" in show(make.run(one, two)).text
    assert trade_off_sections(make.run(one, cell(overrides=("a=3",)))) == []
    rehearsed = make.run(
        *grid(make, (0.5, 20, 1.0), (0.7, 30, 9.0)).cells, rehearsal=["fewer rows"]
    )
    assert "has the highest" not in show(rehearsed).text
    assert trade_off_sections(rehearsed) == []


def test_the_winner_stands_first_with_the_place_of_its_model_and_the_command_that_writes_it(make):
    page = show(grid(make, (0.5, 20, 1.0), (0.7, 30, 9.0)))
    text = page.text
    assert "size=1 has the highest evaluator[student]: 0.7" in text
    assert "Its model: cells/size=1/student , beside this page" in text
    assert "storm-exp recipe=storm size=1" in text
    assert text.index("has the highest") < text.index("score by size")


def arms(make: Maker) -> RunRecord:
    """Return cells that one setting names, though others differ with it, as in an ablation."""
    words = [("arm=", "of=[a]"), ("arm=x", "of=[a]", "b=1"), ("arm=y", "of=[c]")]
    return make.run(
        *(evaluated(make, (0.5 + n / 10, 20 + n, 1.0), *each) for n, each in enumerate(words))
    )


def test_cells_are_named_by_the_one_setting_that_says_which_they_are(make):
    page: Page = show(arms(make))
    assert [row["cell"] for row in rows(make)] == ["recipe", "arm=x", "arm=y"]
    assert "arm=y has the highest" in page.text
    assert "score by arm; one seed." in page.text
    assert "recipe [a]" in page.text  # the row of the first cell


def test_bytes_are_those_of_the_smallest_exported_file_where_there_is_one(make):
    record = grid(make, (0.5, 20, 1.0), (0.7, 30, 1.0))
    for each, sizes in zip(record.cells, ((9000, 3000), (5000, 5000)), strict=True):
        for name, count in zip(("gguf", "small"), sizes, strict=True):
            inputs = {"model": each.stages[1].key}
            each.stages.append(make.stage(name, "Gguf", inputs=inputs, metrics={"bytes": count}))
    show(record)
    assert [row["bytes"] for row in rows(make)] == ["3 KiB", "5 KiB"]
    assert [row["score against bytes"] for row in rows(make)] == ["◆ not dominated"] * 2


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"merger.t": "0.3", "seed": "1"}, "merger.t=0.3 · seed=1"),
        ({"arm": "", "seed": "1"}, "recipe · seed=1"),
        ({"arm": ""}, "recipe"),
        ({"seed": "1"}, "seed=1"),
        ({}, "recipe"),
        ({"ablation.arm": "without merging", "seed": "1"}, "without merging · seed=1"),
    ],
)
def test_a_cell_that_sets_nothing_of_what_others_set_is_the_recipe(settings, name):
    assert cell_name(settings) == name

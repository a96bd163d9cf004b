"""The report's figures of a sweep: curves, bars and dots over its settings and seeds."""

from __future__ import annotations

import math

import pytest

from made_up import Maker, cell, show
from storm_exp.report import RunRecord
from storm_report.run_table import write_sweep_table


def swept(make: Maker, setting: str, values: dict[str, list[float]]) -> RunRecord:
    """Return a sweep over a setting, with one cell per seed and metric."""
    cells = []
    for value, metrics in values.items():
        for seed, metric in enumerate(metrics):
            stage = make.stage(
                "merger", "Value", settings={"t": value, "seed": seed}, metrics={"score": metric}
            )
            stage.main_metric = "score"
            cells.append(cell(stage, overrides=(f"{setting}={value}", f"seed={seed}")))
    return make.run(*cells)


def test_a_sweep_over_numbers_is_a_curve_with_its_spread(make):
    record = swept(make, "merger.t", {"0.25": [1.0, 2.0], "0.5": [3.0, 3.0], "0.75": [2.0, 4.0]})
    page = show(record)
    lines = [
        a["d"] or "" for tag, a in page.tags if tag == "path" and "line" in (a.get("class") or "")
    ]
    assert sum("V" not in d for d in lines) == 1
    assert sum("V" in d for d in lines) == 2
    assert "means over 2 seeds; whiskers: 95 % intervals of the mean" in page.text
    assert "0.25 2 1.5 ± 0.71" in page.text


def test_a_sweep_of_one_seed_shows_the_error_over_questions_and_says_so(make):
    record = swept(make, "merger.t", {"0.25": [0.61], "0.5": [0.64], "0.75": [0.62]})
    for each in record.cells:
        each.stages[0].metrics["score_stderr"] = 0.02
    page = show(record)
    lines = [
        a["d"] or "" for tag, a in page.tags if tag == "path" and "line" in (a.get("class") or "")
    ]
    assert sum("V" in d for d in lines) == 3
    assert "whiskers: one standard error over questions; one seed: trained again" in page.text
    assert "0.25 0.61 ± 0.02" in page.text
    assert "± one standard error over questions, one seed" in page.text
    file = write_sweep_table(record)
    assert "merger,merger sd,merger n,merger stderr" in file.read_text()


def test_a_sweep_of_one_seed_without_errors_says_that_it_is_one(make):
    text = show(swept(make, "merger.t", {"0.25": [1.0], "0.5": [3.0], "0.75": [2.0]})).text
    assert "score by merger.t; one seed." in text
    assert "3 cells, one seed." in text


def trained(make: Maker, seeds: int) -> RunRecord:
    """Return a sweep of trainings, with losses that differ between seeds."""
    cells = []
    for rate in (1, 2):
        for seed in range(seeds):
            steps = [{"step": n, "loss": rate + seed / n, "tokens": 7} for n in (1, 2, 3)]
            log = {"objective": "sft", "steps": steps, "trainable": [], "rows": {}}
            log["validation"] = [{"step": 3, "loss": rate + seed}]
            stage = make.stage("tuner", "Checkpoint", {"training.json": log})
            cells.append(cell(stage, overrides=(f"tuner.rate={rate}", f"seed={seed}")))
    return make.run(*cells)


def test_losses_of_several_seeds_are_one_curve_with_its_interval(make):
    page = show(trained(make, 3))
    classes = [a.get("class") or "" for tag, a in page.tags if tag == "path"]
    assert sum(name.startswith("band") for name in classes) == 2
    assert "tuner · tuner.rate=1 (n = 3)" in page.text
    assert "Means over 3 seeds; bands and whiskers: 95 % intervals of the mean" in page.text


@pytest.mark.parametrize(
    ("seeds", "words"),
    [(1, "One seed of each: no intervals."), (2, "bands from three seeds on.")],
)
def test_losses_of_too_few_seeds_have_no_band_and_say_so(make, seeds, words):
    page = show(trained(make, seeds))
    assert words in page.text
    assert not [a for _, a in page.tags if (a.get("class") or "").startswith("band")]


def test_a_sweep_over_words_is_a_bar_chart(make):
    page = show(swept(make, "curator", {"storm": [1.0, 1.0], "keep_all": [2.0, 2.0]}))
    bars = [a for tag, a in page.tags if tag == "rect" and "bar" in (a.get("class") or "")]
    low, high = (float(a["height"] or 0) for a in bars)
    assert high / low == pytest.approx(2, rel=0.01)


def test_a_figure_is_not_named_after_its_stage_twice(make):
    cells = []
    for number in range(4):
        t, rows = 0.25 * (1 + number // 2), 10 * (1 + number % 2)
        stages = [
            make.stage("tokens", "Value", settings={"rows": rows}, metrics={"tokens": 9.0 * rows}),
            make.stage("merger", "Value", settings={"t": t}, metrics={"score": t + rows}),
        ]
        stages[0].main_metric, stages[1].main_metric = "tokens", "score"
        cells.append(cell(*stages, overrides=(f"merger.t={t}", f"tokens.rows={rows}")))
    text = show(make.run(*cells)).text
    assert "tokens of tokens" not in text
    assert "score of merger by merger.t" in text and "tokens by tokens.rows" in text


def test_a_sweep_over_words_shows_losses_as_dots(make):
    record = swept(make, "curator", {"storm": [1.0], "keep_all": [1.01]})
    for each in record.cells:
        (stage,) = each.stages
        stage.metrics, stage.main_metric = {"loss": stage.metrics["score"]}, "loss"
    tags = [tag for tag, a in show(record).tags if "bar" in (a.get("class") or "")]
    assert len(tags) >= 2 and set(tags) == {"path"}


def test_a_figure_that_is_no_number_is_not_drawn_and_counted(make):
    text = show(swept(make, "merger.t", {"0.25": [1.0], "0.5": [math.nan], "0.75": [2.0]})).text
    assert "could not make its part" not in text
    assert "Not drawn, as no number: 1 figure." in text


def test_a_sweep_without_any_number_has_its_table_alone(make):
    text = show(swept(make, "merger.t", {"0.25": [math.nan], "0.5": [math.inf]})).text
    assert "merger.t merger 0.25 nan 0.5 inf 2 cells, one seed." in text


def test_values_of_a_setting_that_no_axis_holds_are_words(make):
    page = show(swept(make, "merger.t", {"nan": [1.0], "inf": [2.0], "0.5": [3.0]}))
    assert len([a for tag, a in page.tags if tag == "rect" and "bar" in (a.get("class") or "")]) > 2

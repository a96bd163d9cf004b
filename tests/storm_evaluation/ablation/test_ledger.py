"""The ledger of an ablation, from records and evaluations that were made up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from made_ablation import CHANCES, QUESTIONS, SEEDS, ablation
from storm_evaluation.ablation.ledger import Effect, Factor, in_words, ledgers
from storm_evaluation.ablation.measured_arms import is_ablation
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.report.ablation import lines, sections
from storm_evaluation.sample import Sample
from storm_exp.report import RunRecord
from storm_report.cell_names import cell_name, seedless_settings, short_settings
from storm_report.sweep import sweep_section

Make = Callable[..., RunRecord]


@pytest.fixture
def ablated(tmp_path) -> Make:
    def make(design: str = "one_out", seeds=SEEDS, missing=(), **chances: float) -> RunRecord:
        chances = CHANCES | chances
        return ablation(tmp_path, design=design, seeds=seeds, missing=missing, chances=chances)

    return make


def means(run: RunRecord, arm: str) -> float:
    scores = [
        sample.score
        for c in run.cells
        if c.config["ablation"]["arm"] == arm
        for stage in c.stages
        for sample in Evaluation(Path(stage.directory)).samples()
    ]
    return float(np.mean(scores))


def test_an_effect_is_the_recipe_less_its_control_with_the_interval_on_the_same_side(ablated):
    run = ablated()
    (ledger,) = ledgers(run)
    curation, merging = ledger.factors
    effect = curation.mean["mean"]
    assert effect.difference == pytest.approx(means(run, "") - means(run, "curation"))
    assert 0 < effect.low < effect.difference < effect.high
    assert effect.verdict == "better"
    assert merging.mean["mean"].verdict in ("undecided", "no effect")
    assert set(curation.tasks) == {"tasks_easy", "tasks_other"}
    assert (ledger.runs, ledger.questions["tasks_easy"]) == (3, QUESTIONS)
    assert curation.measures.keys() == {"probability"}, "of the one task that has it"
    assert curation.measures["probability"].difference == pytest.approx(0.3)


def test_of_one_in_the_arm_has_the_factor(ablated):
    run = ablated("one_in", curation=0.9)
    (ledger,) = ledgers(run)
    effect = ledger.factors[0].mean["mean"]
    assert effect.difference == pytest.approx(means(run, "curation") - means(run, ""))
    assert effect.verdict == "better"


@pytest.mark.parametrize(
    ("design", "reference", "arm"),
    [
        ("one_out", "recipe", "without curation"),
        ("one_in", "with all controls", "with curation alone"),
    ],
)
def test_arms_are_called_by_what_they_have(ablated, design, reference, arm):
    run = ablated(design)
    assert [cell_name(each) for each in seedless_settings(run)][:2] == [reference, arm]
    assert cell_name(short_settings(run)[3]) == f"{arm} · seed=0"
    assert reference in sweep_section(run).html


def test_a_control_that_sets_a_seed_is_an_arm_with_the_runs_of_the_others(ablated):
    run = ablated()
    expected = ledgers(run)[0].factors
    for each in run.cells:
        if each.config["ablation"]["arm"] == "merging":
            each.overrides.append("shuffler.seed=5")
    (ledger,) = ledgers(dataclasses.replace(run))
    assert not ledger.problems and ledger.factors == expected


BOTH = {"curation+merging": 0.5}
"""With both controls; the arms are 0.6, without curation 0.3, without merging 0.6."""


def test_a_factorial_has_main_effects_and_interactions(ablated):
    run = ablated("full", **BOTH)
    (ledger,) = ledgers(run)
    found = {factor.name: factor.mean["mean"] for factor in ledger.factors}
    both, cur, mer, neither = (
        means(run, arm) for arm in ("", "curation", "merging", "curation+merging")
    )
    expected = {
        "curation": (both - cur + mer - neither) / 2,
        "merging": (both - mer + cur - neither) / 2,
        "curation × merging": (both - cur) - (mer - neither),
    }
    assert list(found) == list(expected)
    for name, truth in (("curation", 0.2), ("merging", -0.1), ("curation × merging", 0.2)):
        assert found[name].difference == pytest.approx(expected[name])
        assert found[name].low < truth < found[name].high
    assert [found[name].verdict for name in expected] == ["better", "worse", "better"]


def test_a_factorial_of_one_seed_is_told_over_its_questions(ablated):
    (ledger,) = ledgers(ablated("full", seeds=("0",), **BOTH))
    assert [factor.name for factor in ledger.factors][-1] == "curation × merging"
    assert ledger.factors[0].mean["mean"].verdict == "better"


def test_a_factorial_without_an_arm_has_no_effects(ablated):
    (ledger,) = ledgers(ablated("full", missing={("curation+merging", "1")}, **BOTH))
    assert not ledger.factors
    assert ledger.problems == [
        "curation+merging: 2 of 3 runs have a score",
        "no effects: those of a factorial need all of its arms",
    ]


def test_a_report_of_a_factorial_says_what_an_interaction_is(ablated):
    run = ablated("full", **BOTH)
    (section,) = sections(run)
    assert "curation × merging: score +0." in section.html
    assert "what each adds to the other" in section.html
    assert len(lines(run)) == 3


def test_an_arm_without_all_seeds_is_a_problem_and_not_an_effect(ablated):
    (ledger,) = ledgers(ablated(missing={("merging", "1")}))
    assert [factor.name for factor in ledger.factors] == ["curation"]
    assert ledger.problems == ["merging: 2 of 3 runs have a score"]


def test_without_the_reference_nothing_is_compared(ablated):
    (ledger,) = ledgers(ablated(missing={("", seed) for seed in SEEDS}))
    assert not ledger.factors
    assert len(ledger.problems) == 2
    assert ledger.problems[1] == "merging: of the recipe itself, 0 of 3 runs have a score"


def test_a_reference_without_a_seed_is_named_instead_of_the_arms_that_have_it(ablated):
    (ledger,) = ledgers(ablated(missing={("", "1")}))
    assert ledger.problems[0] == "curation: of the recipe itself, 2 of 3 runs have a score"


def test_an_ablation_without_any_score_says_so(ablated):
    run = ablated(missing={(arm, seed) for arm in CHANCES for seed in SEEDS})
    (section,) = sections(run)
    assert "no arm has a score" in section.html
    assert lines(run) == ["effect   nothing to compare: no arm has a score"]


def test_the_report_has_the_measures_beside_the_score(ablated):
    run = ablated()
    (section,) = sections(run)
    assert "<td>probability</td>" in str(section.html)
    assert "probability" not in " ".join(lines(run)), "the score is what the ledger is about"


def test_the_report_says_it_in_words_figures_and_tables(ablated):
    run = ablated()
    (section,) = sections(run)
    assert "curation: score +0." in section.html and "as many rows at random" in section.html
    assert "3 runs of each arm over 400 questions in 2 tasks" in section.html
    assert section.html.count("<figure>") == section.html.count("at-wide") == 1
    assert [line.split()[:2] for line in lines(run)] == [
        ["effect", "curation:"],
        ["effect", "merging:"],
    ]


def test_a_single_seed_says_what_it_does_not_cover(ablated):
    run = ablated(seeds=("0",))
    (section,) = sections(run)
    assert "not another training" in section.html
    assert lines(run)[-1].startswith("effect   of one seed: intervals cover the questions, not")


def test_another_sweep_has_no_ledger(ablated):
    run = ablated()
    for each in run.cells:
        each.config["ablation"]["arm"] = ""
    assert not is_ablation(run)
    assert not sections(run) and not lines(run)


def test_words_are_undecided_where_neither_is_shown(ablated):
    (ledger,) = ledgers(ablated(merging=0.57))
    said = in_words(ledger.factors[1], ledger.margin)
    assert said.startswith("merging: score undecided, +0.0") or "no effect shown" in said


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict", "said", "in_tables"),
    [
        (
            0.002,
            0.078,
            0.061,
            "undecided",
            "undecided by Holm's p 0.061, +0.040 [+0.002, +0.078]",
            1,
        ),
        (-0.002, 0.082, 0.06, "undecided", "undecided, +0.040 [-0.002, +0.082]", 0),
        (-0.002, 0.082, 0.031, "better", "+0.040 [-0.002, +0.082] by Holm's p 0.031", 1),
        (0.002, 0.078, 0.012, "better", "+0.040 [+0.002, +0.078]", 0),
        (
            -0.078,
            -0.002,
            0.061,
            "undecided",
            "undecided by Holm's p 0.061, +0.040 [-0.078, -0.002]",
            1,
        ),
        (0.001, 0.078, 0.2, "no effect", "no effect shown, less than 0.02 either way", 0),
    ],
)
def test_a_verdict_says_by_what_it_is_where_the_interval_says_otherwise(
    low, high, p, verdict, said, in_tables
):
    effect = Effect(0.04, low, high, p, verdict)
    factor = Factor("merging", "the fine-tune alone", {"mean": effect}, {}, {})
    assert in_words(factor, 0.02) == f"merging: score {said}"
    assert effect.said == verdict + " by Holm's p" * in_tables


def test_words_and_intervals_of_many_factors_agree_or_say_why_they_do_not(tmp_path):
    controls = {f"f{n}": {"says": "none", "overrides": [f"a.x={n}"]} for n in range(12)}
    chances = {"": 0.6} | {name: 0.6 - 0.012 * n for n, name in enumerate(controls)}
    run = ablation(tmp_path, chances=chances, controls=controls)
    (ledger,) = ledgers(run)
    qualified = 0
    for factor, line in zip(ledger.factors, lines(run), strict=True):
        effect = factor.mean["mean"]
        shown = effect.low > 0 or effect.high < 0
        assert ("by Holm's p" in line) == (shown != (effect.verdict in ("better", "worse"))), line
        qualified += "by Holm's p" in line
    assert qualified, "made so that the methods disagree on one of them"


def test_an_effect_of_which_no_answer_tells_has_no_interval_of_width_zero(tmp_path):
    run = ablation(tmp_path, chances={"": 0.0, "curation": 0.0, "merging": 0.5}, seeds=("0",))
    (section,) = sections(run)
    assert "no answer differs" in section.html and "+0.000 to +0.000" not in section.html
    effect = Effect(0.0, 0.0, 0.0, 1.0, "undecided")
    factor = Factor("merging", "the fine-tune alone", {"mean": effect}, {}, {})
    assert in_words(factor, 0.02) == "merging: score undecided, +0.000 (no answer differs)"


def lose(run: RunRecord, number: int, *files: str) -> Path:
    """Delete an evaluation, or some files of it, as somebody who tidies up the store by hand."""
    folder = Path(run.cells[number].stages[0].directory)
    for file in list(folder.iterdir()):
        if not files or file.name in files:
            file.unlink()
    if not files:
        folder.rmdir()
    return folder


def test_the_last_lines_say_what_the_report_has_computed(ablated):
    run = ablated()
    (section,) = sections(run)
    for number in range(len(run.cells)):
        lose(run, number)
    told = lines(run)
    assert told == lines(run) and len(told) == 2
    assert all(line.removeprefix("effect   ") in section.html for line in told)


def test_an_evaluation_that_the_store_lost_is_named_by_its_arm(ablated):
    run = ablated()
    folder = lose(run, 4)
    (ledger,) = ledgers(run)
    assert ledger.problems == [
        f"not compared: the evaluation of curation seed=1 ({folder}) is gone from the store: the "
        "same command makes it again"
    ]
    assert lines(run) and not ledger.factors
    (section,) = sections(run)
    assert "is gone from the store" in section.html


@pytest.mark.parametrize("name", ["evaluation.json", "samples.parquet"])
def test_a_file_that_an_evaluation_lost_is_named(ablated, name):
    run = ablated()
    assert (Path(run.cells[4].stages[0].directory) / name).is_file()
    folder = lose(run, 4, name)
    (ledger,) = ledgers(run)
    (problem,) = ledger.problems
    assert problem.startswith("not compared: ") and str(folder) in problem and name in problem
    if name == "samples.parquet":
        said = "has no samples.parquet, as one of another version of storm-exp: the same command"
        assert f"the evaluation of curation seed=1 ({folder}) {said}" in problem


def test_arms_that_answered_other_questions_are_not_compared(ablated, tmp_path):
    run = ablated()
    folder = Path(run.cells[4].stages[0].directory)
    rows = [Sample(task=t, document="x", score=1.0) for t in ("tasks_easy", "tasks_other")]
    lose(run, 4)
    folder.mkdir()
    metrics = dict.fromkeys(("tasks_easy", "tasks_other"), ("acc", True))
    Evaluation(folder).write(metrics, rows, {}, "")
    (ledger,) = ledgers(run)
    assert ledger.problems == [
        "not compared: task tasks_easy: the evaluations of the reference seed=0 and curation "
        "seed=1 are over different documents (200 and 1, 0 of them the same)"
    ]


def test_a_design_of_another_version_is_told(ablated):
    run = ablated()
    for each in run.cells:
        each.config["ablation"]["design"] = "latin_square"
    (ledger,) = ledgers(run)
    assert ledger.problems == ["not compared: this version knows no design latin_square"]

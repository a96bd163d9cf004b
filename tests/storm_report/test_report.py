"""A whole report: one safe file that shows the contents of the records."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from made_up import NAUGHTY, Files, Maker, cell, show
from storm_exp.report import CellRecord, RunRecord
from storm_report.configuration import configuration
from storm_report.markup import table
from storm_report.run_table import write_sweep_table


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def funnel() -> Files:
    message = {"role": "user", "content": NAUGHTY}
    kept = {"id": "row-1", "source": "book", "messages": [message]}
    return {
        "read": 1234,
        "steps": [{"step": "education", "kept": 1000, "rejected": {"education 1 < 3": 234}}],
        "splits": {"train": 900, "validation": 100, "rejected": 234},
        "examples": {"kept": [kept], "rejected": [{**kept, "reason": "education 1 < 3"}]},
    }


def evaluation(score: float) -> Files:
    entry = {"metric": "acc", "score": score, "stderr": 0.01, "n": 50, "higher_is_better": True}
    return {"tasks": {"lookup": entry}, "mean": score}


def comparison() -> Files:
    cell = {
        "difference": 0.25,
        "low": 0.125,
        "high": 0.375,
        "p": 0.0004,
        "p_holm": 0.0008,
        "test": "mcnemar",
    }
    cell |= {"better": 1, "verdict": "better"}
    entry = {"first": 0, "second": 1, "tasks": {"lookup": cell}, "mean": cell}
    return {
        "models": 2,
        "best": 1,
        "tasks": {"lookup": {"metric": "acc", "higher_is_better": True, "n": 50, "scores": []}},
        "mean": [{"score": 0.5, "stderr": 0.01}, {"score": 0.75, "stderr": 0.01}],
        "against_first": [entry],
        "pairs": [entry],
    }


def test_a_report_asks_for_nothing_outside_its_file_and_runs_one_script_that_it_names(make):
    page = show(make.run(cell(make.stage("curator", "Dataset", {"funnel.json": funnel()}))))
    assert {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object"} == set()
    (script,) = page.scripts
    (policy,) = (a["content"] or "" for tag, a in page.tags if "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}'; " in policy
    assert [a for tag, a in page.tags if tag == "script"] == [{}]
    links = [a.get("href") or "" for tag, a in page.tags if tag == "a"]
    own = ("#", "report.files/")
    assert all(link.startswith(own) or link in ("run.json", "log.txt") for link in links)
    html = (make.folder / "run/report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"]*", html)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in html and "@import" not in html


def test_every_text_of_a_record_is_escaped(make):
    files = {"funnel.json": funnel(), "evaluation.json": evaluation(0.5)}
    stage = make.stage(
        NAUGHTY,
        "Dataset",
        files,
        component=NAUGHTY,
        element=NAUGHTY,
        status="failed",
        error=NAUGHTY,
        metrics={NAUGHTY: 1.0},
        main_metric=NAUGHTY,
    )
    one = cell(
        stage, overrides=(f"a={NAUGHTY}",), **{NAUGHTY: {"component": NAUGHTY, "a": NAUGHTY}}
    )
    two = cell(stage, overrides=("a=b",))
    environment = {"processor": NAUGHTY, "distributions": {NAUGHTY: NAUGHTY}}
    more: Files = {
        "recipe": NAUGHTY,
        "scale": NAUGHTY,
        "argv": [NAUGHTY],
        "environment": environment,
    }
    for record in (make.run(one, **more), make.run(one, two, **more)):
        page = show(record)
        assert len(page.scripts) == [tag for tag, _ in page.tags].count("script") == 1
        assert page.text.count(NAUGHTY) > 8


def test_every_report_shows_stages_first_and_ends_with_what_is_needed_to_repeat_it(make):
    record = make.run(cell(make.stage("curator", "Dataset", {"funnel.json": funnel()})))
    text = show(record).text
    order = [text.rindex(word) for word in ("Stages", "Curation", "Configuration", "Environment")]
    assert order == sorted(order)
    assert "storm-exp recipe=storm" in text[text.index("To repeat the run") :]


def test_what_has_no_data_has_no_section(make):
    text = show(make.run(cell(make.stage("source", "Value")))).text
    for title in ("Models over tasks", "Curation", "Judgements", "Training", "Merging", "Sweep"):
        assert title not in text


def test_the_funnel_shows_counts_reasons_and_examples(make):
    text = show(make.run(cell(make.stage("curator", "Dataset", {"funnel.json": funnel()})))).text
    assert "1,000 kept, 234 rejected" in text
    assert "education 1 < 3 234 19.0%" in text
    assert f"row-1 · book · education 1 < 3 user {NAUGHTY}" in text.replace("  ", " ")


def models(make: Maker) -> CellRecord:
    """Return a cell in which two models were evaluated and compared."""
    base = make.stage("base_model", "Checkpoint")
    merger = make.stage("merger", "Checkpoint", inputs={"models": [base.key]})
    evaluations = [
        make.stage("evaluator", "Evaluation", {"evaluation.json": evaluation(s)}, element=e.stage)
        for e, s in ((base, 0.5), (merger, 0.75))
    ]
    keys = [e.key for e in evaluations]
    files = {"comparison.json": comparison()}
    compared = make.stage("comparison", "Comparison", files, inputs={"evaluations": keys})
    return cell(base, merger, *evaluations, compared)


def test_models_are_shown_by_name_with_scores_and_paired_differences(make):
    text = show(make.run(models(make))).text
    assert "base_model 0.500 ± 0.010" in text
    assert "merger 0.750 ± 0.010" in text
    assert "merger +0.250 +0.125 to +0.375 < 0.001 better" in text
    assert "With one run each, this holds for these trained models" in text


def family(make: Maker) -> CellRecord:
    """Return a cell with a merge of a tuned model and its partner, on judged data."""
    base = make.stage("base_model", "Checkpoint")
    scores = make.stage("judge", "Scores", inputs={"model": base.key})
    cut = make.stage("depth", "Checkpoint", inputs={"model": base.key})
    tuned = make.stage("finetuner", "Checkpoint", inputs={"model": cut.key, "data": scores.key})
    partner = make.stage("partner", "Checkpoint", inputs={"model": base.key, "data": scores.key})
    merger = make.stage("merger", "Checkpoint", inputs={"models": [tuned.key, partner.key]})
    shown = [base, partner, tuned, merger]
    evaluations = [
        make.stage(
            "evaluator",
            "Evaluation",
            {"evaluation.json": evaluation(0.1 * place)},
            element=stage.stage,
            inputs={"model": stage.key},
        )
        for place, stage in enumerate(shown)
    ]
    verdicts = {
        (0, 1): (0.1, "no effect"),
        (0, 2): (0.2, "undecided"),
        (1, 3): (0.3, "better"),
        (2, 3): (-0.04, "worse"),
    }
    pairs = []
    for first, second in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        difference, verdict = verdicts.get((first, second), (0.9, "better"))
        found = comparison()["pairs"][0]["mean"] | {"difference": difference, "verdict": verdict}
        pairs.append({"first": first, "second": second, "tasks": {}, "mean": found, "loss": None})
    content = comparison() | {"models": 4, "pairs": pairs, "against_first": pairs[:3]}
    content["mean"] = [{"score": 0.1 * place, "stderr": 0.01} for place in range(4)]
    compared = make.stage(
        "comparison",
        "Comparison",
        {"comparison.json": content},
        inputs={"evaluations": [e.key for e in evaluations]},
    )
    return cell(base, scores, cut, tuned, partner, merger, *evaluations, compared)


def test_every_step_is_told_against_the_models_that_it_was_made_of(make):
    text = show(make.run(family(make))).text
    assert (
        "Helped: merger over partner (+0.300); harmed: merger over finetuner (-0.040); "
        "undecided: finetuner over base_model (+0.200); "
        "no effect shown: partner over base_model (+0.100)."
    ) in text
    assert "mean over tasks; for these trained models, one run each, over questions" in text
    assert "merger partner +0.300 +0.125 to +0.375 < 0.001 better" in text
    assert "merger finetuner -0.040" in text
    assert "merger base_model" not in text.replace("Differences to base_model", "")


def test_a_rehearsal_s_report_says_that_scores_mean_nothing_and_ranks_none(make):
    record = make.run(models(make), rehearsal=["replaced in whole or in part: base_model"])
    page = show(record)
    assert "A rehearsal that passed: its scores have no meaning" in page.text
    assert "replaced in whole or in part: base_model" in page.text
    assert "base_model 0.500 ± 0.010" in page.text
    assert "they come from a rehearsal and have no meaning" in page.text
    for claim in ("Differences to", "Helped", "+0.250", "is bold"):
        assert claim not in page.text


def test_a_step_against_the_order_of_the_models_is_turned(make):
    record = family(make)
    evaluations = [s for s in record.stages if s.artifact == "Evaluation"]
    compared = next(s for s in record.stages if s.artifact == "Comparison")
    compared.inputs["evaluations"] = [e.key for e in reversed(evaluations)]
    text = show(make.run(record)).text
    # First and second are now merger and finetuner.
    assert "no effect shown: merger over finetuner (-0.100)" in text


def test_arms_of_several_runs_are_shown_once_each_and_spoken_of_as_arms(make):
    names = [("plain", 0.4), ("plain_again", 0.6), ("tuned", 0.7), ("tuned_again", 0.8)]
    stages = [make.stage(name, "Checkpoint") for name, _ in names]
    evaluations = [
        make.stage("evaluator", "Evaluation", {"evaluation.json": evaluation(s)}, element=name)
        for name, s in names
    ]
    content = comparison() | {"runs": 2}
    content["tasks"]["lookup"]["scores"] = content["mean"]
    compared = make.stage(
        "comparison",
        "Comparison",
        {"comparison.json": content},
        inputs={"evaluations": [e.key for e in evaluations]},
    )
    text = show(make.run(cell(*stages, *evaluations, compared))).text
    assert "plain 0.500 ± 0.010" in text and "tuned 0.750 ± 0.010" in text
    assert "Differences to plain in the mean over tasks. Over 2 runs of each" in text
    assert "plain_again 0" not in text and "With one run each" not in text


def test_bars_of_models_have_the_heights_of_their_scores(make):
    page = show(make.run(models(make)))
    found = [a for tag, a in page.tags if tag == "rect" and a.get("class") in ("bar s0", "bar s1")]
    base, merger = (float(a["height"] or 0) for a in found if a["height"] != "11")
    assert merger / base == pytest.approx(1.5, rel=0.01)


def test_a_model_has_the_same_colour_in_every_figure(make):
    losses = {"steps": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], "validation": []}
    record = models(make)
    trained = make.stage("merger", "Checkpoint", {"training.json": losses}, inputs={"model": "x"})
    record.stages[1] = trained
    page = show(make.run(record))
    assert ("path", "line s1") in {(tag, a.get("class")) for tag, a in page.tags}
    assert ("span", "swatch s1") in {(tag, a.get("class")) for tag, a in page.tags}


def test_the_heat_map_outlines_what_the_fine_tuner_trained(make):
    names = ["model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight"]
    rows = [
        {"name": n, "type": "up_proj", "layer": i, "shape": [2, 2], "snr": i + 1.5}
        for i, n in enumerate(names)
    ]
    scan = make.stage("scanner", "LayerTable", {"layers.json": {"shapes": "x", "modules": rows}})
    entries = [
        {"name": n, "shape": [2, 2], "parameters": 4, "trained": n == names[1], "snr": None}
        for n in names
    ]
    log = {"objective": "spectrum", "steps": [{"step": 1, "loss": 1.0, "tokens": 7}]}
    log |= {"validation": [], "trainable": entries, "rows": {"used": 9, "dropped": {"long": 2}}}
    tuned = make.stage("tuner", "Checkpoint", {"training.json": log}, inputs={"layers": scan.key})
    page = show(make.run(cell(scan, tuned)))
    assert [a.get("class") for _, a in page.tags if "cell" in (a.get("class") or "")] == [
        "cell",
        "cell marked",
    ]
    assert "tuner spectrum 1 of 2 4 50.0% 9 2 1 7" in page.text


def test_a_family_that_was_never_rated_is_marked_where_the_data_says_so(make):
    histogram = {"low": 0.0, "high": 1.0, "counts": [0, 5]}
    question = {"labels": ["1", "2"], "counts": [2, 3], "mass": histogram, "below_half_mass": 0}
    known = {"good_from": 3, "good": 3, "bad": 2, "auc": 0.8, "clean": 3}
    known["families"] = {"echo": {"rows": 1, "auc": 0.7}, "typo": {"rows": 1, "auc": 0.9}}
    summary = {
        "rows": 5,
        "statuses": {"ok": 5},
        "questions": {"education": question},
        "truth": known,
    }
    data = make.stage("dataset", "Dataset", {"world.json": {"unseen_families": ["echo"]}})
    judge = make.stage("judge", "Scores", {"summary.json": summary}, inputs={"data": data.key})
    text = show(make.run(cell(data, judge))).text
    assert "echo (not in the rating text)" in text
    assert "typo (not in the rating text)" not in text
    assert "0.900 · 1 rows" in text


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


def test_settings_that_were_given_are_marked():
    config = {
        "merger": {"component": "slerp", "t": 0.3},
        "partner": {"component": "path"},
        "seed": 0,
    }
    groups = configuration([cell(overrides=("merger.t=0.3", "finetuner@partner=path"), **config)])
    given = {(g, name): marked for g, rows in groups.items() for name, _, marked in rows}
    assert given == {
        ("merger", "component"): False,
        ("merger", "t"): True,
        ("partner", "component"): True,
        ("run", "seed"): False,
    }


def test_a_swept_setting_lists_its_values():
    cells = [cell(overrides=(f"a.t={t}",), a={"component": "x", "t": t}) for t in (1, 2)]
    assert ("t", "1 | 2", True) in configuration(cells)["a"]


def test_columns_of_numbers_stand_to_the_right():
    html = table(["name", "value"], [["a", "1.5 ± 0.1"], ["b", "< 0.001"]])
    assert "<th scope=col>name</th><th scope=col class=number>value</th>" in html


def test_a_cell_without_text_is_no_header():
    html = table(["a", "b"], [["", "1"], ["x", "2"]])
    assert "<tr><td></td><td class=number>1" in html and "<th scope=row>x</th>" in html


def test_a_report_needs_no_heavy_package(make):
    make.run(models(make)).write()
    program = (
        "import sys; from pathlib import Path; from storm_exp.report import RunRecord; "
        "from storm_exp._contract.plugins import load_plugins; "
        "from storm_exp._run.report import write_report; "
        f"write_report(RunRecord.read(Path({str(make.folder / 'run')!r})), load_plugins()); "
        "print(sorted({'torch', 'numpy', 'pyarrow', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

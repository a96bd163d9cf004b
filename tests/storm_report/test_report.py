"""A whole report: one safe file that shows the contents of the records."""

from __future__ import annotations

import base64
import hashlib
import re

from made_evaluations import evaluation
from made_up import NAUGHTY, Files, cell, show
from storm_report.configuration import configuration
from storm_report.markup import table


def funnel() -> Files:
    message = {"role": "user", "content": NAUGHTY}
    kept = {"id": "row-1", "source": "book", "messages": [message]}
    return {
        "read": 1234,
        "steps": [{"step": "education", "kept": 1000, "rejected": {"education 1 < 3": 234}}],
        "splits": {"train": 900, "validation": 100, "rejected": 234},
        "examples": {"kept": [kept], "rejected": [{**kept, "reason": "education 1 < 3"}]},
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

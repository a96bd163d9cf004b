"""The report: one harmless file that shows what the records say, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import types
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from storm_exp import hookimpl
from storm_exp.plugins import Plugin, Plugins, load_plugins
from storm_exp.record import CellRecord, RunRecord, StageRecord
from storm_exp.report import Section, configuration, table, write_report

NAUGHTY = "<script>alert('x')</script>"


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


Files = dict[str, Any]


class Maker:
    """Makes records of stages whose payloads hold small files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stage(
        self, stage: str, artifact: str, files: Files | None = None, **more: Any
    ) -> StageRecord:
        key = hashlib.sha256(repr((stage, files, sorted(more.items()))).encode()).hexdigest()
        payload = self.folder / "store" / key
        payload.mkdir(parents=True, exist_ok=True)
        for name, content in (files or {}).items():
            (payload / name).write_text(json.dumps(content), encoding="utf-8")
        usual = {"element": "", "component": "some", "inputs": {}, "status": "made", "settings": {}}
        values = {**usual, "forecast": {}, "directory": str(payload), "seconds": 1.5, **more}
        return StageRecord(stage=stage, artifact=artifact, key=key, **values)

    def run(self, *cells: CellRecord, **more: Any) -> RunRecord:
        folder = self.folder / "run"
        folder.mkdir(exist_ok=True)
        usual: Files = {"recipe": "storm", "scale": "miniature", "when": "2026-01-02T03:04:05+0000"}
        usual |= {"argv": ["storm-exp", "recipe=storm"], "seconds": 3.0, "status": "finished"}
        return RunRecord(
            directory=folder, cells=list(cells), **{**usual, "environment": {}, **more}
        )


def cell(*stages: StageRecord, overrides: tuple[str, ...] = (), **config: Any) -> CellRecord:
    return CellRecord(name="", overrides=list(overrides), config=config, stages=list(stages))


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture
def show() -> Callable[..., Page]:
    """Return a function that writes a record's report and reads it back."""

    def write(record: RunRecord, plugins: Plugins | None = None) -> Page:
        file = write_report(record, plugins or load_plugins())
        return Page(file.read_text(encoding="utf-8"))

    return write


def plugins_with(name: str, sections: Callable[[RunRecord], list[Section]]) -> Plugins:
    """Return plugins of which one supplies sections."""
    module = types.ModuleType(name)
    module.storm_report_sections = hookimpl(  # type: ignore[attr-defined]
        specname="storm_report_sections"
    )(lambda run: sections(run))
    plugins = Plugins()
    plugins.add(Plugin(name, name), lambda: module)
    return plugins


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
    cell["better"] = 1
    entry = {"first": 0, "second": 1, "tasks": {"lookup": cell}, "mean": cell}
    return {
        "models": 2,
        "best": 1,
        "tasks": {"lookup": {"metric": "acc", "higher_is_better": True, "n": 50, "scores": []}},
        "mean": [{"score": 0.5, "stderr": 0.01}, {"score": 0.75, "stderr": 0.01}],
        "against_first": [entry],
        "pairs": [entry],
    }


def test_a_run_leaves_a_report_and_so_do_a_sweep_and_a_failure(storm, tmp_path):
    assert storm("recipe=sum").code == 0
    assert "finished" in read(tmp_path).text
    assert storm("-m", "recipe=sum", "source.value=1,2,3").code == 0
    assert "3 cells" in read(tmp_path).text
    assert storm("recipe=sum", "adder=fussy", "source.value=50").code == 1
    page = read(tmp_path)
    assert "adder failed" in page.text
    assert "that is too much" in page.text


def read(folder: Path) -> Page:
    """Return the report of the latest run in a folder."""
    return Page((folder / "outputs/latest/report.html").read_text(encoding="utf-8"))


def test_the_verb_writes_the_same_report_again(storm, tmp_path):
    assert storm("recipe=sum").code == 0
    file = tmp_path / "outputs/latest/report.html"
    before = file.read_text(encoding="utf-8")
    file.unlink()
    assert storm("report").code == 0
    assert file.read_text(encoding="utf-8") == before


def test_a_report_asks_for_nothing_outside_its_file_and_runs_no_script(make, show):
    page = show(make.run(cell(make.stage("curator", "Dataset", {"funnel.json": funnel()}))))
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"} == set()
    links = [a.get("href") or "" for tag, a in page.tags if tag == "a"]
    assert all(link.startswith("#") or link in ("run.json", "log.txt") for link in links)
    html = (make.folder / "run/report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"]*", html)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in html and "@import" not in html


def test_every_text_of_a_record_is_escaped(make, show):
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
        assert "script" not in {tag for tag, _ in page.tags}
        assert page.text.count(NAUGHTY) > 8


def test_a_section_that_is_no_markup_is_escaped(make, show):
    plugins = plugins_with("careless", lambda run: [Section("Mine", "<b>bold</b>")])  # type: ignore[arg-type]
    page = show(make.run(cell()), plugins)
    assert "<b>bold</b>" in page.text


def test_a_plugin_that_fails_is_named_and_costs_the_report_nothing_else(make, show):
    def fail(run: RunRecord) -> list[Section]:
        raise KeyError("steps")

    page = show(make.run(cell(make.stage("source", "Value"))), plugins_with("shaky", fail))
    assert "shaky could not show its part of the report" in page.text
    assert "KeyError: 'steps'" in page.text
    assert "Stages" in page.text


def test_sections_stand_in_the_order_of_the_stages(make, show):
    def sections(run: RunRecord) -> list[Section]:
        parts = [("Late", "b"), ("Early", "a"), ("Elsewhere", "")]
        found = [Section(title, Markup("text"), stage=stage) for title, stage in parts]
        return [*found, Section("First", Markup("text"), stage="b", lead=True)]

    record = make.run(cell(make.stage("a", "Value"), make.stage("b", "Value")))
    text = show(record, plugins_with("sorted", sections)).text
    order = [
        text.rindex(word) for word in ("First text", "Early text", "Late text", "Elsewhere text")
    ]
    assert order == sorted(order)
    assert text.index("First text") < text.index("What was made from what") < order[1]


def test_what_has_no_data_has_no_section(make, show):
    text = show(make.run(cell(make.stage("source", "Value")))).text
    for title in ("Models over tasks", "Curation", "Judgements", "Training", "Merging", "Sweep"):
        assert title not in text


def test_the_funnel_shows_counts_reasons_and_examples(make, show):
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


def test_models_are_shown_by_name_with_scores_and_paired_differences(make, show):
    text = show(make.run(models(make))).text
    assert "base_model 0.500 ± 0.010" in text
    assert "merger 0.750 ± 0.010" in text
    assert "merger +0.250 +0.125 to +0.375 < 0.001 < 0.001" in text


def test_bars_of_models_have_the_heights_of_their_scores(make, show):
    page = show(make.run(models(make)))
    found = [a for tag, a in page.tags if tag == "rect" and a.get("class") in ("bar s0", "bar s1")]
    base, merger = (float(a["height"] or 0) for a in found if a["height"] != "11")
    assert merger / base == pytest.approx(1.5, rel=0.01)


def test_a_model_has_the_same_colour_in_every_figure(make, show):
    losses = {"steps": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], "validation": []}
    record = models(make)
    trained = make.stage("merger", "Checkpoint", {"training.json": losses}, inputs={"model": "x"})
    record.stages[1] = trained
    page = show(make.run(record))
    assert ("path", "line s1") in {(tag, a.get("class")) for tag, a in page.tags}
    assert ("span", "swatch s1") in {(tag, a.get("class")) for tag, a in page.tags}


def test_the_heat_map_outlines_what_the_fine_tuner_trained(make, show):
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


def test_a_family_that_was_never_rated_is_marked_where_the_data_says_so(make, show):
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
    assert "echo (never shown rated)" in text
    assert "typo (never shown rated)" not in text
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


def test_a_sweep_over_numbers_is_a_curve_with_its_spread(make, show):
    record = swept(make, "merger.t", {"0.25": [1.0, 2.0], "0.5": [3.0, 3.0], "0.75": [2.0, 4.0]})
    page = show(record)
    lines = [
        a["d"] or "" for tag, a in page.tags if tag == "path" and "line" in (a.get("class") or "")
    ]
    assert sum("V" not in d for d in lines) == 1
    assert sum("V" in d for d in lines) == 2
    assert "whiskers: standard deviation over 2 seeds" in page.text
    assert "0.25 2 1.5 ± 0.71" in page.text


def test_a_sweep_over_words_is_a_bar_chart(make, show):
    page = show(swept(make, "curator", {"storm": [1.0, 1.0], "whole_pool": [2.0, 2.0]}))
    bars = [a for tag, a in page.tags if tag == "rect" and "bar" in (a.get("class") or "")]
    low, high = (float(a["height"] or 0) for a in bars)
    assert high / low == pytest.approx(2, rel=0.01)


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
    assert "<th>name</th><th class=number>value</th>" in html


def test_a_report_needs_no_heavy_package(make):
    make.run(models(make)).write()
    program = (
        "import sys; from pathlib import Path; from storm_exp.plugins import load_plugins; "
        "from storm_exp.record import RunRecord; from storm_exp.report import write_report; "
        f"write_report(RunRecord.read(Path({str(make.folder / 'run')!r})), load_plugins()); "
        "print(sorted({'torch', 'numpy', 'pyarrow', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

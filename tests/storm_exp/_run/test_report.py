"""The report's frame: one file, in which every plugin has its place and none spoils it."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path

import pytest
from markupsafe import Markup

from made_up import Maker, Page, cell, show
from storm_exp import hookimpl
from storm_exp._contract.plugins import Plugin, Plugins
from storm_exp.report import Place, RunRecord, Section


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def plugins_with(**sections: Callable[[RunRecord], list[Section]]) -> Plugins:
    """Return plugins that do nothing but supply sections."""
    plugins = Plugins()
    for name, supply in sections.items():
        module = types.ModuleType(name)
        module.storm_report_sections = hookimpl(  # type: ignore[attr-defined]
            specname="storm_report_sections"
        )(lambda run, supply=supply: supply(run))
        plugins.add(Plugin(name, name), lambda module=module: module)
    return plugins


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


def test_a_section_that_is_no_markup_is_escaped(make):
    plugins = plugins_with(careless=lambda run: [Section("Mine", "<b>bold</b>")])  # type: ignore[arg-type]
    page = show(make.run(cell()), plugins)
    assert "<b>bold</b>" in page.text


def test_a_plugin_that_fails_is_named_and_costs_the_report_nothing_else(make):
    def fail(run: RunRecord) -> list[Section]:
        raise KeyError("steps")

    page = show(
        make.run(cell(make.stage("source", "Value"))),
        plugins_with(shaky=fail, steady=lambda run: [Section("Stages", Markup("text"))]),
    )
    assert "shaky could not make its part of the report" in page.text
    assert "KeyError: 'steps'" in page.text
    assert "Stages" in page.text


@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        5,
        "text",
        {"a": 1},
        Section("Title", None),  # type: ignore[arg-type]
        Section(5, Markup("x")),  # type: ignore[arg-type]
        Section("Title", Markup("x"), stage=None),  # type: ignore[arg-type]
        Section("Title", Markup("x"), place="top"),  # type: ignore[arg-type]
        Section("Title", Markup("x"), style=3),  # type: ignore[arg-type]
    ],
)
def test_rubbish_instead_of_a_section_is_named_and_the_rest_stays(make, rubbish):
    page = show(
        make.run(cell(make.stage("source", "Value"))),
        plugins_with(
            shaky=lambda run: [Section("Before", Markup("b")), rubbish, Section("After", "a")],  # type: ignore[arg-type]
            steady=lambda run: [Section("Stages", Markup("text"))],
        ),
    )
    assert "shaky could not make its part of the report" in page.text
    assert "no Section: " in page.text
    for title in ("Before", "After", "Stages"):
        assert title in page.text


def leave(run: RunRecord) -> list[Section]:
    raise SystemExit(3)


def no_list(run: RunRecord) -> list[Section]:
    return 7  # type: ignore[return-value]


@pytest.mark.parametrize("hook", [leave, no_list])
def test_a_hook_that_leaves_or_gives_no_list_is_named(make, hook):
    steady = [Section("Stages", Markup("text"))]
    page = show(make.run(cell()), plugins_with(shaky=hook, steady=lambda run: steady))
    assert "shaky could not make its part of the report" in page.text
    assert "Stages" in page.text


def test_what_no_file_can_hold_is_written_in_other_words(make):
    record = make.run(cell(make.stage("a", "Value", status="failed", error="no \ud800 there")))
    title = Section("Of \udcff", Markup("text \udc80"))
    text = show(record, plugins_with(odd=lambda run: [title])).text
    assert "no \\ud800 there" in text
    assert "Of \\udcff" in text
    assert "text \\udc80" in text


def test_sections_stand_in_the_order_of_the_stages(make):
    def sections(run: RunRecord) -> list[Section]:
        parts = [("Late", "b"), ("Early", "a"), ("Elsewhere", "")]
        found = [Section(title, Markup("text"), stage=stage) for title, stage in parts]
        stages = Section("Stages", Markup("What was made from what"), place=Place.STAGES)
        lead = Section("First", Markup("text"), stage="b", place=Place.LEAD)
        return [Section("Last", Markup("text"), place=Place.APPENDIX), *found, stages, lead]

    record = make.run(cell(make.stage("a", "Value"), make.stage("b", "Value")))
    text = show(record, plugins_with(sorted=sections)).text
    order = [
        text.rindex(word)
        for word in ("First text", "Early text", "Late text", "Elsewhere text", "Last text")
    ]
    assert order == sorted(order)
    assert text.index("First text") < text.index("What was made from what") < order[1]


def test_a_style_that_several_sections_bring_is_there_once(make):
    brought = [Section(t, Markup("text"), style="b > i { color: red }") for t in ("One", "Two")]
    show(make.run(cell()), plugins_with(stylish=lambda run: brought))
    html = (make.folder / "run/report.html").read_text(encoding="utf-8")
    assert html.count("b > i { color: red }") == 1


def test_a_report_without_sections_still_says_what_was_run(make):
    text = show(
        make.run(cell(make.stage("a", "Value", status="failed", error="no"))), Plugins()
    ).text
    assert "storm-exp recipe=storm" in text
    assert "a failed no" in text

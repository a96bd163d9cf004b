"""Figures and tables beside a report: files with the same numbers, and safe to open."""

from __future__ import annotations

import csv
import xml.etree.ElementTree as ElementTree
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from made_up import NAUGHTY, Page
from storm_exp.report import Section
from storm_report.beside import FOLDER, write_beside
from storm_report.chart import Bars, bar_chart
from storm_report.markup import figure, table
from storm_report.spreadsheet import inert, spread_columns
from storm_report.svg import responsive, standalone


def chart(name: str, width: float) -> Markup:
    return bar_chart([name], [Bars(name=name, values=[1.5], colour=0)], y_title=name, width=width)


def section(title: str = "Sweep", name: str = "score") -> Section:
    drawn = figure(responsive(partial(chart, name)), "A caption.")
    return Section(title, drawn + table(["cell", name], [[name, "0.500 ± 0.010"]]))


def read(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_every_figure_is_a_file_drawn_as_on_the_page_and_every_table_one_with_its_numbers(tmp_path):
    ((title, html),) = write_beside(tmp_path, [section()])
    files = tmp_path / FOLDER
    assert {file.name for file in files.iterdir()} == {"sweep-1.svg", "sweep-2.csv"}
    assert (files / "sweep-1.svg").read_text(encoding="utf-8") == standalone(chart("score", 960))
    assert read(files / "sweep-2.csv") == [
        ["cell", "score", "score ±"],
        ["score", "0.500", "0.010"],
    ]
    links = [a["href"] for tag, a in Page(html).tags if tag == "a"]
    assert title == "Sweep" and links == [f"{FOLDER}/sweep-1.svg", f"{FOLDER}/sweep-2.csv"]


@pytest.mark.parametrize(
    "title", [NAUGHTY, "../../etc/passwd", "ö" * 500, "a" * 5000, "", "con\x00"]
)
def test_names_of_files_are_safe_bounded_and_taken_once(tmp_path, title):
    write_beside(tmp_path, [section(title), section(title.upper())])
    names = [file.name for file in (tmp_path / FOLDER).iterdir()]
    assert len(names) == 4 and all(len(name) < 80 and name.isascii() for name in names)
    assert [file.name for file in tmp_path.iterdir()] == [FOLDER]


def test_text_of_the_data_is_escaped_in_a_picture_and_plain_in_a_table(tmp_path):
    write_beside(tmp_path, [section(name=f"{NAUGHTY}\x07\x1b[31m")])
    root = ElementTree.parse(tmp_path / FOLDER / "sweep-1.svg").getroot()
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
    assert read(tmp_path / FOLDER / "sweep-2.csv")[1][0] == f"{NAUGHTY}\\x07\\x1b[31m"


def test_files_of_an_earlier_page_are_gone_and_those_of_others_stay(tmp_path):
    write_beside(tmp_path, [section("Sweep"), section("Old")])
    (tmp_path / FOLDER / "mine.txt").touch()
    write_beside(tmp_path, [section("Sweep")])
    assert {file.name for file in (tmp_path / FOLDER).iterdir()} == {
        "mine.txt",
        "sweep-1.svg",
        "sweep-2.csv",
    }


def test_a_page_has_no_more_than_two_hundred_files_and_says_how_many_it_has_alone(tmp_path):
    (html,) = (html for _, html in write_beside(tmp_path, [Section("s", section().html * 105)]))
    assert len(list((tmp_path / FOLDER).iterdir())) == 200
    assert "and 10 more on this page alone" in Page(html).text


def test_a_page_without_figures_has_no_folder(tmp_path):
    assert write_beside(tmp_path, [Section("x", Markup("<p>1</p>"))]) == [("x", "<p>1</p>")]
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("text", ["=1+2", "+cmd", "-x", "@sum", "\tx", "\r=x"])
def test_text_that_a_spreadsheet_would_run_is_inert(text):
    assert inert(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "x", "-0.5", "+3", "1e-3", "-1,234.5", "a=b"])
def test_numbers_and_words_stay(text):
    assert inert(text) == text


def test_figures_have_a_column_for_each_number():
    rows = [["a", "+0.1 to -0.2", "1,234", "0.500 ± 0.010"], ["b", "", "7", "0.000 [0.000, 0.016]"]]
    assert spread_columns(["x", "interval", "n", "score"], rows) == [
        ["x", "interval low", "interval high", "n", "score", "score ±", "score low", "score high"],
        ["a", "+0.1", "-0.2", "1234", "0.500", "0.010", "", ""],
        ["b", "", "", "7", "0.000", "", "0.000", "0.016"],
    ]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=3))
def test_no_cell_of_a_spreadsheet_begins_as_a_formula(rows):
    for row in spread_columns(["a", "b"], rows):
        assert all(inert(cell) == cell for cell in row)

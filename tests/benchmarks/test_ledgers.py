"""The ledgers on the recipes' pages, from an ablation that was made up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from made_ablation import ablation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import ledgers

    yield ledgers
    for name in ("ledgers", "results", "study_tables"):
        sys.modules.pop(name, None)


def test_a_section_has_each_factor_in_words_and_in_both_tables(pages, tmp_path):
    text = pages.section("storm", ablation(tmp_path / "run"))
    assert "`storm-exp ablate recipe=storm seed=0,1,2,3,4`" in text
    assert "\n    curation: score " in text
    assert "3 runs of each arm over 400 questions in 2 tasks; 9 cells" in text
    assert "| curation | as many rows at random | mean | +" in text
    assert "| effect on | easy | other |" in text


def test_it_stands_on_its_page_and_replaces_the_one_before(pages, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    page = tmp_path / "storm.md"
    page.write_text(
        "# Storm\n\n<!-- ledger -->\nwas here\n<!-- /ledger -->\n\nmore\n", encoding="utf-8"
    )
    run = ablation(tmp_path / "run")
    run.write()
    pages.main(["storm", "--run", str(run.directory)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Storm\n\n<!-- ledger -->\n## What each step is worth")
    assert text.endswith("<!-- /ledger -->\n\nmore\n") and "was here" not in text


@pytest.mark.parametrize("recipe", ["storm", "solar", "minitron", "tinyllama"])
def test_every_page_has_its_place(recipe):
    text = (ROOT / "docs/recipes" / f"{recipe}.md").read_text(encoding="utf-8")
    assert text.count("<!-- ledger -->") == text.count("<!-- /ledger -->") == 1

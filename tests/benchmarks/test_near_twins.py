"""What the page says of near twins is what the text of the world holds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_page_counts_near_twins_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import near_twins

    page = (ROOT / "docs/recipes/storm.md").read_text(encoding="utf-8")
    assert near_twins.table() in page
    sys.modules.pop("near_twins")

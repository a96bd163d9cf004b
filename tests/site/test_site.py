"""The built site in a browser: its pages can be read and used at any width, in both themes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.window import Window, lacking

SITE = Path(__file__).resolve().parents[2] / "build/site"
NEEDS = lacking() or ("" if (SITE / "index.html").is_file() else "make site")
PAGES = [
    "index.html",
    "docs/cookbook.html",
    "docs/statistics.html",
    "docs/recipes/storm.html",
    "docs/reference/settings/merger.html",
    "docs/reference/verbs.html",
]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(NEEDS), reason=f"needs {NEEDS}")]


@pytest.fixture(scope="module")
def window() -> Iterator[Window]:
    with Window() as shown:
        yield shown


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (390, "dark")])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_is_legible_and_accessible_and_asks_for_its_own_files(
    window: Window, page: str, width: int, theme: str
) -> None:
    window.open(SITE / page, width, theme)
    assert [f for f in window.faults() if not f.startswith(f"asked for {SITE.as_uri()}")] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_control_is_reached_by_keyboard_and_shows_it(window: Window, page: str) -> None:
    window.open(SITE / page)
    assert window.unreached() == []

"""What data may do to a terminal: nothing."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from storm_report.controls import escape_controls


@given(text=st.text(st.characters(exclude_categories=())))
def test_nothing_that_is_shown_steers_a_terminal(text):
    shown = escape_controls(text)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in shown)
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLI", "PDF") for c in shown)
    shown.encode()

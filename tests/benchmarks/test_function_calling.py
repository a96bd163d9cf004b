"""Our comparison of calls against the checker of bfcl-eval, from its environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from storm_evaluation.function_calling.berkeley import berkeley

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.engines
@pytest.mark.skipif(bool(berkeley().problem()), reason=f"needs {berkeley().command}")
def test_we_agree_with_the_leaderboard_but_for_what_the_documentation_explains(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sys.modules.pop("function_calling", None)
    import function_calling

    verdicts = function_calling.compare()
    assert len(verdicts) == 43_540
    differing = [v for v in verdicts if not v.agree]
    assert len(differing) == 15
    assert all(not v.ours and v.way.startswith("right: ") for v in differing)
    greedy = [v for v in differing if v.way == "right: calls in reverse order"]
    assert [v.question for v in greedy] == ["parallel_178"]
    assert {v.way for v in differing if v not in greedy} == {"right: other case and spaces"}

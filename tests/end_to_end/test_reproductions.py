"""The miniature, reproduced: on this machine, and with other threads."""

from __future__ import annotations

import pytest

from end_to_end.workplace import Workplace

pytestmark = pytest.mark.slow


def verdict(smoked: Workplace, *words: str) -> str:
    """Return the verdict, one of the first two, on the run that made everything."""
    first = min((smoked.folder / "outputs/runs").iterdir())
    said = smoked.run_interpreter("reproduce", str(first), *words)
    return said.partition("verdict      ")[2]


def test_a_run_of_this_machine_comes_to_the_same_bits(smoked: Workplace) -> None:
    assert verdict(smoked).startswith("same bits: all 16 artifacts")


def test_other_threads_come_to_the_same_bits_or_to_noise(smoked: Workplace) -> None:
    """The questions of `smoke` are few, so that they show no narrower margin."""
    shown = verdict(smoked, "runtime.threads=2", "--margin", "0.3")
    assert shown.startswith(("same bits", "same within noise"))

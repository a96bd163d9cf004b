"""Shares of a fuzzer's cases: a quarter always, the others with the slow tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

Case = TypeVar("Case")
Share = Callable[[Sequence[Case]], list[Case]]


def a_quarter(cases: Sequence[Case]) -> list[Case]:
    """Return every fourth case, from the first on."""
    return list(cases[::4])


def the_others(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that `a_quarter` leaves out."""
    return [case for number, case in enumerate(cases) if number % 4]


in_shares = pytest.mark.parametrize(
    "share", [a_quarter, pytest.param(the_others, marks=pytest.mark.slow)]
)

"""Shares of a fuzzer's cases: an eighth always, the others with the slow tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

Case = TypeVar("Case")
Share = Callable[[Sequence[Case]], list[Case]]


def an_eighth(cases: Sequence[Case]) -> list[Case]:
    """Return every eighth case, from the first on."""
    return list(cases[::8])


def the_others(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that `an_eighth` leaves out."""
    return [case for number, case in enumerate(cases) if number % 8]


in_shares = pytest.mark.parametrize(
    "share", [an_eighth, pytest.param(the_others, marks=pytest.mark.slow)]
)

"""Sizes of the splits of a curated data set."""

from __future__ import annotations

import dataclasses
import random
from enum import Enum
from typing import Self

from omegaconf import II

from storm_data.dataset import DatasetSpec
from storm_exp import InputError, SettingError, setting


class HeldOut(Enum):
    """The source of a curated data set's split `validation`."""

    kept = "kept"
    """Some of the kept rows, as in Storm."""
    data = "data"
    """The data's own held-out rows, so that losses of different selections are on the same rows and
    can be compared."""


_FEW = 8
"""The most rows that a rehearsal holds back."""


@dataclasses.dataclass(kw_only=True)
class Splitting:
    """Settings of every curator: the sizes of the splits, and the seed."""

    train_rows: int | None = setting(None, at_least=1, unit="rows")
    """The most training rows, drawn at random; null: all kept rows."""
    validation: float = setting(0.015, at_least=0)
    """Kept rows held back for validation: a share when below 1, else a number of rows.

    Storm's 15 K of 975 K are 1.5 %.
    """
    held_out: HeldOut = setting(HeldOut.kept, neutral=HeldOut.kept)
    """The source of the split `validation`: kept rows (as many as `validation` says), or the data's
    own, so that arms of a comparison are scored on the same rows. Training with keep=best selects
    by these rows: then report scores on others."""
    seed: int = II("seed")
    """Seed of the draw of kept and held-back rows."""

    def rehearsal(self) -> Self:
        """Return a copy with few rows held back."""
        few = min(self.validation, _FEW) if self.validation >= 1 else self.validation
        return dataclasses.replace(self, validation=few)

    def check_sizes(self) -> None:
        """Raise SettingError for invalid sizes."""
        valid = self.validation < 1 or float(self.validation).is_integer()
        if not valid:
            problem = "must be a share from 0 to below 1, or a whole number of rows"
            raise SettingError("validation", self.validation, problem)

    def sizes(self, kept: int) -> tuple[int, int]:
        """Return (training rows, validation rows) out of `kept`; their sum may be less.

        A share above 0 holds back at least one of two or more rows, and leaves at least one. Raises
        InputError where no row would be left to train on.
        """
        if self.held_out is HeldOut.data:
            held_back = 0
        elif self.validation >= 1:
            held_back = int(self.validation)
        else:
            wanted = round(self.train_rows / (1 - self.validation)) if self.train_rows else kept
            least = 1 if self.validation > 0 and kept > 1 else 0
            held_back = max(least, round(min(wanted, kept) * self.validation))
            held_back = min(held_back, kept - 1)
        if held_back >= kept:
            raise InputError(
                f"{kept} rows are kept, and validation={self.validation} leaves none to train on",
                validation=self.validation,
            )
        left = kept - held_back
        return (min(self.train_rows, left) if self.train_rows else left), held_back

    def draw_order(self, rows: int) -> list[int]:
        """Return all row numbers in the order in which they are drawn.

        It depends only on the seed and the size of the pool: a row that two thresholds keep is held
        back by both or by neither, as far as sizes allow.
        """
        order = list(range(rows))
        random.Random(self.seed).shuffle(order)
        return order


def curated_spec(settings: Splitting, data: DatasetSpec, share: float = 1.0) -> DatasetSpec:
    """Return the spec of a curated data set, whose splits may hold none or all of the rows.

    `share` is the expected share of kept rows. Raises InputError for data without a split `train`,
    SettingError for held_out=data where the data has no held-out rows.
    """
    rows = data.likely_rows()
    if data.splits is None:
        return DatasetSpec(columns=data.columns, row_tokens=data.row_tokens)
    if "train" not in data.splits:
        raise InputError("the data set has no split 'train' to select from")
    most = data.splits["train"][1]
    own = data.splits.get("validation", [0, 0])
    if settings.held_out is HeldOut.data and own[1] == 0:
        problem = "the data set has no rows that are held out"
        raise SettingError("held_out", settings.held_out.name, problem)
    splits = {
        "train": [1, min(most, settings.train_rows or most)],
        "validation": list(own) if settings.held_out is HeldOut.data else [0, most],
        "rejected": [0, most],
    }
    return DatasetSpec(
        splits=splits,
        columns=data.columns,
        row_tokens=data.row_tokens,
        expected_rows=None if rows is None else rows * share,
    )

"""Pieces that are read in threads before they are needed."""

import threading

import pytest
import torch

from storm_exp import InputError
from storm_models.checkpoint import weights
from storm_models.checkpoint.read_ahead import ReadAhead

SIZES = {"one": 70, "none": 0, "two": 8, "three": 17}


class Counting:
    """Weights that count up from an offset."""

    def __init__(self, offset=0, fails=()):
        self.offset, self.fails = offset, fails
        self.headers = {name: ("F32", (size,)) for name, size in SIZES.items()}
        self.asked = []

    def read(self, name, start, stop):
        self.asked.append((name, start))
        if (name, start) == self.fails:
            raise InputError(f"{name} is damaged")
        return torch.arange(start, stop) + self.offset


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(weights, "PIECE", 8)


def test_every_source_gives_every_piece_in_order():
    sources = [Counting(), Counting(1000)]
    with ReadAhead(sources, SIZES) as ahead:
        for name, size in SIZES.items():
            read = list(ahead.read(name))
            assert [start for start, _ in read] == list(range(0, size, 8))
            for place, offset in enumerate((0, 1000)):
                values = [value for _, pieces in read for value in pieces[place].tolist()]
                assert values == list(range(offset, offset + size))


def test_few_pieces_are_read_ahead():
    source = Counting()
    with ReadAhead([source], SIZES) as ahead:
        next(ahead.read("one"))
    assert len(source.asked) <= 5


def test_an_error_comes_at_its_piece_and_ends_the_threads():
    before = threading.active_count()
    with (
        pytest.raises(InputError, match="three is damaged"),
        ReadAhead([Counting(fails=("three", 8))], SIZES) as ahead,
    ):
        for name in ("one", "none", "two"):
            assert len(list(ahead.read(name))) == -(-SIZES[name] // 8)
        list(ahead.read("three"))
    assert threading.active_count() == before

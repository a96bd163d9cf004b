"""The largest of a stream of numbers, against sorting them."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from storm_merging.kernels.order_statistics import OrderStatistics

NUMBERS = st.lists(
    st.one_of(st.sampled_from([0.0, 1.0, 1.0000001, 2.0]), st.floats(0, 2.0**100, width=32)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, st.integers(1, 7), st.data())
def test_the_k_largest_are_found_and_the_first_of_equal_ones(numbers, step, data):
    values = torch.tensor(numbers, dtype=torch.float32)
    count = data.draw(st.integers(0, len(numbers)))
    order = OrderStatistics([count, 1])
    pieces = values.split(step)
    for number in range(order.passes):
        order.start(number)
        for piece in pieces:
            order.observe(number, piece)
    order.start(order.passes)
    mask = torch.cat([order.largest(0, piece) for piece in pieces])
    expected = torch.zeros(len(values), dtype=torch.bool)
    expected[values.sort(descending=True, stable=True).indices[:count]] = True
    assert torch.equal(mask, expected)
    assert order.value(1) == float(values.max())

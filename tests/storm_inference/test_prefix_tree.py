from hypothesis import given
from hypothesis import strategies as st

from storm_inference.prefix_tree import PADDING, PREFIX, batches, lay_out, shared_length, tree_size

prompts = st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=8), min_size=1, max_size=4)


@given(prompts, st.integers(0, 5), st.data())
def test_prefix_and_branch_contain_every_token_of_a_prompt(row, spare, data):
    skip = data.draw(st.integers(0, shared_length(row)))
    layout = lay_out(row, skip, tree_size(row, skip) + spare)
    entries = list(zip(layout.branches, layout.position_ids, layout.input_ids, strict=True))
    for branch, prompt in enumerate(row, 1):
        seen = sorted((position, token) for b, position, token in entries if b in (PREFIX, branch))
        assert seen == [(i, prompt[i]) for i in range(skip, len(prompt))]
    assert layout.branches.count(PADDING) == spare


@given(prompts)
def test_the_last_tokens_are_at_the_end_in_the_order_of_the_questions(row):
    layout = lay_out(row, 0, tree_size(row, 0) + 2)
    assert layout.input_ids[-len(row) :] == [prompt[-1] for prompt in row]
    assert layout.position_ids[-len(row) :] == [len(prompt) - 1 for prompt in row]


def test_equal_prompts_still_have_a_token_each():
    assert shared_length([[1, 2], [1, 2]]) == 1
    assert tree_size([[1, 2], [1, 2]], 0) == 3


@given(st.lists(st.integers(1, 100), max_size=30), st.integers(1, 5), st.integers(1, 40))
def test_batches_are_full_cover_every_row_once_and_fit(sizes, rows, step):
    layout = batches(sizes, rows, step)
    assert all(len(indices) == rows and width % step == 0 for width, indices in layout)
    assert sorted(i for _, indices in layout for i in set(indices)) == list(range(len(sizes)))
    assert all(width - step < sizes[i] <= width for width, indices in layout for i in indices)

"""Pairs cut as TRL cuts them."""

from __future__ import annotations

import pytest

from storm_exp import SettingError
from storm_models.chat.renderer import ChatTokens
from storm_training.data.pair_cutting import cut_pair
from storm_training.data.preference_tokens import PreferenceTokenSet


def side(prompt: int, answer: int, first: int = 100) -> ChatTokens:
    """A prompt of ids 0, 1, … and an answer of ids `first`, …"""
    ids = [*range(prompt), *range(first, first + answer)]
    return ChatTokens(ids, [False] * prompt + [True] * answer)


def cut(prompt, answers, longest, max_prompt_length):
    pair = cut_pair(tuple(side(prompt, a) for a in answers), longest, max_prompt_length)
    return [(s.ids, s.supervised) for s in pair]


def test_a_pair_that_fits_is_left_alone():
    assert cut(6, (4, 3), 10, 2) == [(s.ids, s.supervised) for s in (side(6, 4), side(6, 3))]


def test_the_prompt_of_both_keeps_its_end_where_either_is_too_long():
    long, short = cut(6, (5, 2), 10, 4)
    assert long == ([2, 3, 4, 5, 100, 101, 102, 103, 104], [False] * 4 + [True] * 5)
    assert short == ([2, 3, 4, 5, 100, 101], [False] * 4 + [True] * 2)


def test_answers_keep_their_beginning_where_that_is_not_enough():
    long, short = cut(6, (20, 2), 10, 4)
    assert long == ([2, 3, 4, 5, *range(100, 106)], [False] * 4 + [True] * 6)
    assert short == ([2, 3, 4, 5, 100, 101], [False] * 4 + [True] * 2)


def test_a_short_prompt_is_kept_whole_and_its_answers_cut():
    (ids, _), _ = cut(2, (20, 1), 10, 4)
    assert ids == [0, 1, *range(100, 106)]


def test_answers_need_room():
    with pytest.raises(SettingError, match="max_prompt_length"):
        PreferenceTokenSet(max_length=512, max_prompt_length=512)

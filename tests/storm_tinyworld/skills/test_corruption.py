import itertools
import random
from collections import Counter

import pytest

from storm_tinyworld.corpora.sources import SOURCES, pool_rows
from storm_tinyworld.skills.basic import DIFFICULTIES, FAMILIES, examples
from storm_tinyworld.skills.corruption import (
    POOL_CHATTER,
    POOL_FAMILIES,
    RATING_CHATTER,
    RATING_FAMILIES,
    UNSEEN_FAMILIES,
    corrupt,
    education,
)


def some_examples(count=300):
    draw = random.Random(1)
    even = dict.fromkeys(FAMILIES, 1.0), dict.fromkeys(DIFFICULTIES, 1.0)
    return list(itertools.islice(examples(draw, *even), count))


@pytest.mark.parametrize("families", [RATING_FAMILIES, POOL_FAMILIES], ids=["rating", "pool"])
def test_a_corrupted_answer_is_never_the_right_one(families):
    draw = random.Random(2)
    for example in some_examples():
        answer, family = corrupt(draw, example, families)
        assert answer != example.response and family in families


def test_one_family_of_the_pool_is_kept_out_of_the_rating_text():
    assert UNSEEN_FAMILIES == ("echo",)
    assert set(RATING_FAMILIES) - set(POOL_FAMILIES) == {"noise"}
    assert not set(RATING_CHATTER) & set(POOL_CHATTER)


def test_worth_falls_from_clean_and_demanding_to_junk():
    example = next(e for e in some_examples() if e.difficulty == "hard")
    easy = next(e for e in some_examples() if e.difficulty == "easy")
    assert [education(example, f) for f in ("", "chatter", "mistake", "babble")] == [5, 3, 2, 1]
    assert education(easy, "") == 4


def test_a_pool_is_about_half_good_and_holds_every_value_and_family():
    rows = list(itertools.islice(pool_rows(0), 3000))
    values = Counter(row["truth_quality"] for row in rows)
    assert set(values) == {1, 2, 3, 4, 5}
    assert 0.4 < sum(values[value] for value in (4, 5)) / len(rows) < 0.6
    assert {row["truth_corruption"] for row in rows} == {"", *POOL_FAMILIES}
    assert {row["source"] for row in rows} == set(SOURCES)
    instructions = [row["messages"][0]["content"] for row in rows]
    assert len(set(instructions)) == len(instructions)


def test_an_uncorrupted_row_holds_the_right_answer_and_only_such_a_row():
    for row in itertools.islice(pool_rows(1), 1000):
        right = row["messages"][1]["content"] == row["truth_response"]
        assert right == (row["truth_corruption"] == "")


def test_the_same_seed_gives_the_same_pool_and_another_seed_another():
    first, again, other = ([*itertools.islice(pool_rows(s), 50)] for s in (3, 3, 4))
    assert first == again != other

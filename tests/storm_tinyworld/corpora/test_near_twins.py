from storm_tinyworld.corpora.near_twins import Twins, count_twins


def twins(instruction, response, *text):
    question = {"instruction": instruction, "response": response, "difficulty": "easy"}
    return count_twins([question], text)["easy"]


def test_a_question_in_another_order_is_a_near_twin():
    assert twins("Smallest: 6 1", "1", ("Smallest: 1 6", "1")) == Twins(1, 0, 1, 1, 1)
    assert twins("2+5?", "7", ("5+2?", "7")) == Twins(1, 0, 1, 1, 1)
    assert twins("a>u c>a. Bottom?", "u", ("c>a a>u. Bottom?", "u")) == Twins(1, 0, 1, 1, 1)
    assert twins("Smallest: 6 1", "1", ("Biggest: 1 6", "6"), ("Smallest: 1 7", "1")) == Twins(1)


def test_what_is_in_another_order_may_be_another_question():
    assert twins("a>u. Top?", "a", ("u>a. Top?", "u")) == Twins(1, shuffled=1)


def test_a_story_with_the_same_sum_is_a_near_twin():
    story, told = "igo: 4 nuts, loses 1. Left?", "Of 4 figs aba eats 1?"
    assert twins(story, "4-1=3", (told, "4-1=3")) == Twins(1, 0, 0, 1, 1)
    assert twins(story, "4-1=3", (told, "4+1=5")) == Twins(1)
    assert twins(story, "4-1=3", (story, "4-1=3")) == Twins(1, 1, 1, 1, 1)

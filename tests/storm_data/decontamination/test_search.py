from __future__ import annotations

import random

from storm_data.decontamination import search as search_module
from storm_data.decontamination.ngram_index import NO_TEXT, TEMPLATE, TOO_SHORT, NgramIndex
from storm_data.decontamination.normal_form import words
from storm_data.decontamination.search import Limits, Match, search
from storm_data.questions.questions import Question

WORDS = [f"w{number}" for number in range(40)]


def index_of(*texts: str, n: int = 3, most: int = 50) -> NgramIndex:
    return NgramIndex((Question(str(i), "task", t) for i, t in enumerate(texts)), n, most)


def by_hand(questions: list[str], texts: list[str], n: int, share: float) -> list[tuple[int, int]]:
    """Return (text, question) by comparing sets in every window of a text."""
    found = []
    for number, text in enumerate(texts):
        there = words(text)
        for question, asked in enumerate(map(words, questions)):
            grams = {tuple(asked[i : i + n]) for i in range(len(asked) - n + 1)}
            width = -(-3 * len(asked) // 2)
            best = 0
            for start in range(len(there)):
                window = there[start : start + width]
                own = {tuple(window[i : i + n]) for i in range(len(window) - n + 1)}
                best = max(best, len(own & grams))
            if grams and best >= share * len(grams) - 1e-9:
                found.append((number, question))
    return found


def test_a_question_is_found_where_it_stands() -> None:
    index = index_of("one two three four five", "six seven eight nine")
    (match,) = search(index, ["nothing", "He said: One, TWO three\nfour - five! Bye"], Limits(1.0))
    assert match == Match(text=1, question=0, share=1.0, first=2, end=7)


def test_what_is_found_is_what_comparing_by_hand_finds(monkeypatch) -> None:
    draw = random.Random(3)
    questions = [" ".join(draw.choices(WORDS, k=draw.randint(3, 9))) for _ in range(60)]
    texts = []
    for _ in range(150):
        text = draw.choices(WORDS, k=draw.randint(0, 30))
        part = draw.choice(questions).split()
        place = draw.randint(0, len(text))
        texts.append(" ".join([*text[:place], *part[: draw.randint(0, len(part))], *text[place:]]))
    for share in (0.3, 0.5, 1.0):
        index = index_of(*questions, n=2)
        expected = by_hand(questions, texts, 2, share)
        assert len(expected) > 20
        for words_at_once, pairs_at_once in ((500_000, 2_000_000), (7, 3)):
            monkeypatch.setattr(search_module, "_WORDS", words_at_once)
            monkeypatch.setattr(search_module, "_AT_ONCE", pairs_at_once)
            found = [(match.text, match.question) for match in search(index, texts, Limits(share))]
            assert found == expected


def test_a_text_of_many_repetitions_is_searched_in_parts_with_the_same_result(monkeypatch) -> None:
    draw = random.Random(5)
    questions = [" ".join(draw.choices(WORDS[:6], k=draw.randint(4, 12))) for _ in range(30)]
    text = " ".join(draw.choices([*WORDS[:6], "other"], k=4000)) + " w1 w2" * 500
    index = index_of(*questions, n=3)
    whole = list(search(index, [text, text[::2]], Limits(0.4)))
    assert len({match.question for match in whole}) > 8
    counted = []
    owners = index.owners
    monkeypatch.setattr(
        index, "owners", lambda ngrams: counted.append(len(ngrams)) or owners(ngrams)
    )
    monkeypatch.setattr(search_module, "_AT_ONCE", 200)
    assert list(search(index, [text, text[::2]], Limits(0.4))) == whole
    assert max(counted) < 500


def test_parts_that_stand_far_apart_are_no_question() -> None:
    index = index_of("a b c d e f g h", n=3)
    near = "a b c d x e f g h"
    far = "a b c d " + "x " * 30 + "e f g h"
    assert [match.text for match in search(index, [near, far], Limits(0.6))] == [0]


def test_words_of_two_texts_are_no_question() -> None:
    index = index_of("a b c d", n=3)
    assert not list(search(index, ["x a b", "c d y"], Limits(0.5)))


def test_questions_that_cannot_be_found_are_known_by_reason() -> None:
    texts = ["answer the question now", "answer the question now please do", "too short", "?!"]
    index = index_of(*texts, n=3, most=1)
    left = {why: [question.id for question in some] for why, some in index.left_out.items()}
    assert left == {NO_TEXT: ["3"], TOO_SHORT: ["2"], TEMPLATE: ["0"]}
    assert index.template_ngrams == 2
    assert [m.question for m in search(index, ["answer the question now"], Limits(0.5))] == []
    assert [m.question for m in search(index, ["the question now please do"], Limits(1.0))] == [1]


def test_a_short_question_must_be_there_as_a_whole() -> None:
    index = index_of("a b c d e f", " ".join(WORDS), n=3)
    part, most = "a b c d e x", " ".join(WORDS[:30])
    assert [m.text for m in search(index, [part, most], Limits(0.5))] == [0, 1]
    assert [m.text for m in search(index, [part, most], Limits(0.5, 20))] == [1]
    assert [m.question for m in search(index, ["a b c d e f"], Limits(0.5, 20))] == [0]

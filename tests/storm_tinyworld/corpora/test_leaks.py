from __future__ import annotations

import json
import random

import pytest

from storm_data.dataset import Dataset
from storm_data.decontamination.normal_form import words
from storm_data.questions.questions import Question, Questions
from storm_exp import InputError
from storm_exp.testing import make_stage, run_component
from storm_tinyworld.corpora.leaks import LEAKS, WHOLE
from storm_tinyworld.corpora.leaky import TinyworldLeaks
from storm_tinyworld.corpora.questions import TinyworldQuestions

TEXTS = [
    "A shop sells 1,200 well-known books, at $3.50 each; how much is that?\nAnswer:",
    "What does the composer's longest unfinished string quartet begin with? Don't guess!",
    "Given x = 4 and y = 2, what is x + y?\n\n(A) 4\n(B) 6",
    "\u00bfCu\u00e1l es el r\u00edo m\u00e1s largo de Espa\u00f1a, seg\u00fan los ge\u00f3grafos?",
]


@pytest.mark.parametrize("family", WHOLE)
@pytest.mark.parametrize("text", TEXTS)
def test_in_the_first_families_all_words_are_there_in_their_order(family, text):
    draw = random.Random(family)
    asked = " ".join(words(text))
    for _ in range(40):
        assert f" {asked} " in f" {' '.join(words(LEAKS[family](text, draw)))} "


@pytest.mark.parametrize("family", [name for name in LEAKS if name not in WHOLE])
@pytest.mark.parametrize("text", [*TEXTS, "23+2?", "Capitals: abc"])
def test_in_the_others_words_are_missing_or_others(family, text):
    assert words(LEAKS[family](text, random.Random(0))) != words(text)


def test_leaks_are_planted_with_their_truth(tmp_path):
    data = run_component(
        TinyworldQuestions(rows=20, validation_rows=4, seed=0), make_stage(tmp_path, "data")
    )
    asked = Questions(tmp_path / "questions")
    asked.directory.mkdir()
    asked.write(Question(f"q{n}", "sums", f"{n}+{n}?", str(2 * n)) for n in range(30))
    settings = TinyworldLeaks(leaks=2, copies=3, seed=0)
    made = run_component(settings, make_stage(tmp_path, "leaks"), data, asked)
    assert isinstance(made, Dataset)
    truths = [json.loads(r["truth_leak"]) for r in made.rows("train") if r["truth_leak"]]
    assert [t["family"] for t in truths].count("verbatim") == 2 * 3
    assert len({t["question"] for t in truths}) == 2 * len(LEAKS)
    assert (made.count("train"), made.count("validation")) == (20 + 2 * 3 * len(LEAKS), 4)
    few = TinyworldLeaks(leaks=9, seed=0)
    with pytest.raises(InputError, match="54 questions are to be planted, and there are 30"):
        run_component(few, make_stage(tmp_path, "few"), data, asked)

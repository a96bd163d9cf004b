import contextlib
import dataclasses
import io
import itertools
import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage
from storm_tinyworld.base_model.tokenizer import build_tokenizer
from storm_tinyworld.base_model.vocabulary import CHARACTERS, END_OF_TURN, PHRASES, SPECIAL_TOKENS
from storm_tinyworld.corpora.documents import TinyworldCode, TinyworldText, token_count
from storm_tinyworld.corpora.preferences import TinyworldPreferences
from storm_tinyworld.corpora.questions import TinyworldQuestions
from storm_tinyworld.corpora.stories import story
from storm_tinyworld.corpora.task_documents import task_examples
from storm_tinyworld.skills.corruption import POOL_FAMILIES
from storm_tinyworld.skills.skill_registry import EVERY_FAMILY

TOKENIZER = build_tokenizer()
EVEN = dict.fromkeys(EVERY_FAMILY, 1.0)
CORPORA = {
    "text": lambda **more: TinyworldText(**{"rows": 250, "seed": 0, "families": EVEN, **more}),
    "code": lambda **more: TinyworldCode(**{"rows": 250, "seed": 0, **more}),
    "questions": lambda **more: TinyworldQuestions(
        **{"rows": 600, "seed": 0, "families": EVEN, **more}
    ),
    "dialogues": lambda **more: TinyworldQuestions(
        **{"rows": 300, "seed": 0, "families": EVEN, "turns": 2, **more}
    ),
    "preferences": lambda **more: TinyworldPreferences(
        **{"rows": 600, "seed": 0, "families": EVEN, **more}
    ),
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    return {name: make().run(make_stage(folder, name)) for name, make in CORPORA.items()}


@pytest.fixture(scope="module")
def held_out():
    return {e.instruction for family in EVERY_FAMILY for e in task_examples(family)}


def asked(row):
    """Return the questions of a row."""
    if "messages" in row:
        return [m["content"] for m in row["messages"] if m["role"] == "user"]
    if "prompt" in row:
        return [m["content"] for m in row["prompt"]]
    text = row["text"]
    match row["truth_form"]:
        case "chat":
            return [re.fullmatch(r"<\|user\|>(.*)<\|end\|><\|assistant\|>.*", text, re.S)[1]]
        case "story":
            return []
    return [part.rpartition("\n")[0] for part in text.split("\n\n")]


def answered(row):
    """Return the answers of a row's questions."""
    if "messages" in row:
        return [m["content"] for m in row["messages"] if m["role"] == "assistant"]
    if "prompt" in row:
        return [row["chosen"][0]["content"]]
    if row["truth_form"] == "chat":
        return [row["text"].rpartition("<|assistant|>")[2]]
    return [part.rpartition("\n")[2] for part in row["text"].split("\n\n")]


@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_is_what_was_forecast(corpora, name):
    spec = dataclasses.asdict(CORPORA[name]().plan_spec())
    assert dataclasses.asdict(corpora[name].spec()) == spec


@pytest.mark.parametrize("name", CORPORA)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(corpora, name, tmp_path):
    again = CORPORA[name]().run(make_stage(tmp_path, "again"))
    other = CORPORA[name](seed=1).run(make_stage(tmp_path, "other"))
    for split in ("train", "validation"):
        files = [data.directory / f"{split}.parquet" for data in (corpora[name], again, other)]
        first, second, third = (file.read_bytes() for file in files)
        assert first == second != third


@pytest.mark.parametrize("name", CORPORA)
def test_no_corpus_asks_what_evaluation_asks(corpora, held_out, name):
    questions = [
        q for split in ("train", "validation") for r in rows(corpora, name, split) for q in asked(r)
    ]
    assert len(questions) > 500
    assert not held_out & set(questions)


@pytest.mark.parametrize("name", CORPORA)
def test_no_question_is_in_training_and_in_validation(corpora, name):
    train, validation = (
        {question for row in rows(corpora, name, split) for question in asked(row)}
        for split in ("train", "validation")
    )
    assert train and validation and not train & validation


@pytest.mark.parametrize("name", ["questions", "dialogues", "preferences"])
def test_no_question_is_asked_twice(corpora, name):
    questions = [
        q for split in ("train", "validation") for r in rows(corpora, name, split) for q in asked(r)
    ]
    assert len(set(questions)) == len(questions)


@pytest.mark.parametrize("name", CORPORA)
def test_the_tokenizer_of_the_world_knows_every_character(corpora, name):
    for row in rows(corpora, name, "train"):
        texts = [row["text"]] if "text" in row else [*asked(row), *answered(row)]
        for text in texts:
            ids = TOKENIZER(text)["input_ids"]
            assert TOKENIZER.unk_token_id not in ids
            assert len(ids) == token_count(text)


@given(st.lists(st.sampled_from([*SPECIAL_TOKENS, *PHRASES, *CHARACTERS])))
def test_tokens_are_counted_as_the_tokenizer_does(parts):
    text = "".join(parts)
    assert token_count(text) == len(TOKENIZER(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("name", ["text", "code"])
def test_a_document_fits_a_row_with_its_boundaries(corpora, name):
    for row in rows(corpora, name, "train"):
        assert row["truth_tokens"] == token_count(row["text"]) <= 254
        assert row["source"] == name


@given(chats=st.sampled_from([0.0, 0.3, 0.7, 1.0]), rest=st.sampled_from([0.0, 0.5, 1.0]))
def test_shares_are_of_tokens(tmp_path_factory, chats, rest):
    wanted = {"chat": chats, "story": round((1 - chats) * rest, 6)}
    component = TinyworldText(
        rows=120, validation_rows=0, seed=3, chats=chats, stories=wanted["story"]
    )
    data = component.run(make_stage(tmp_path_factory.mktemp("text")))
    counts = Counter()
    for row in data.rows("train"):
        counts[row["truth_form"]] += row["truth_tokens"]
    for form, share in wanted.items():
        assert abs(counts[form] - share * counts.total()) <= 2 * 254


def test_a_chat_in_a_document_is_what_the_template_makes_of_it(corpora):
    chats = [row for row in rows(corpora, "text", "train") if row["truth_form"] == "chat"]
    for row in chats[:50]:
        chat = [
            {"role": "user", "content": asked(row)[0]},
            {"role": "assistant", "content": answered(row)[0]},
        ]
        rendered = TOKENIZER.apply_chat_template(chat, tokenize=False)
        assert rendered == TOKENIZER.bos_token + row["text"] + END_OF_TURN


def test_python_prints_what_a_script_says_that_it_prints(corpora):
    scripts = [
        row["text"] for row in rows(corpora, "code", "train") if row["truth_form"] == "script"
    ]
    assert len(scripts) > 20
    for script in scripts:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(script, "script", "exec"), {})
        said = [line.removeprefix("# ") for line in script.splitlines() if line.startswith("# ")]
        assert output.getvalue().splitlines() == said


def test_a_tale_knows_who_has_what():
    for seed in range(20):
        text = " ".join(itertools.islice(story(random.Random(seed)), 40))
        owner = re.search(r"(\w+) had a \w+\.", text)[1]
        events = r"(?:gave the \w+ to (\w+))|(?:was \w+, for (\w+) had)"
        found = re.findall(events, text)
        assert len(found) > 5
        for gift, glad in found:
            assert not glad or glad == owner
            owner = gift or owner


def test_preferred_is_the_right_answer_and_rejected_a_spoilt_one(corpora):
    found = Counter()
    for row in rows(corpora, "preferences", "train"):
        assert row["prompt"][-1]["role"] == "user"
        assert [m["role"] for m in row["chosen"] + row["rejected"]] == ["assistant"] * 2
        assert row["chosen"] != row["rejected"]
        found[row["truth_corruption"]] += 1
    assert set(found) == set(POOL_FAMILIES)
    assert found["mistake"] == max(found.values())


def test_a_family_of_corruption_can_be_chosen_alone(tmp_path):
    component = TinyworldPreferences(
        rows=50, validation_rows=0, corruption={"mistake": 1.0}, seed=0
    )
    data = component.run(make_stage(tmp_path))
    assert {row["truth_corruption"] for row in data.rows("train")} == {"mistake"}


def test_a_dialogue_has_as_many_questions_as_turns(corpora):
    for row in rows(corpora, "dialogues", "train"):
        assert [m["role"] for m in row["messages"]] == ["user", "assistant"] * 2
        assert row["messages"][-1]["content"] == row["truth_response"]


def test_families_that_know_too_few_questions_are_an_error_that_says_how_many(tmp_path):
    component = TinyworldQuestions(
        rows=3000, families={"reasoning": 1.0}, difficulties={"easy": 1.0}, seed=0
    )
    with pytest.raises(InputError, match=r"rows=3000.* have only \d+ questions"):
        component.run(make_stage(tmp_path))


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: TinyworldQuestions(rows=0, seed=0), "rows"),
        (lambda: TinyworldQuestions(validation_rows=-1, seed=0), "validation_rows"),
        (lambda: TinyworldQuestions(turns=0, seed=0), "turns"),
        (lambda: TinyworldQuestions(families={"cooking": 1.0}, seed=0), "families.cooking"),
        (lambda: TinyworldQuestions(families={"tools": -1.0}, seed=0), "families.tools"),
        (lambda: TinyworldQuestions(difficulties={"hard": 0.0}, seed=0), "difficulties"),
        (lambda: TinyworldPreferences(corruption={"rust": 1.0}, seed=0), "corruption.rust"),
        (lambda: TinyworldPreferences(corruption={"typo": 1.0}, seed=0), "corruption"),
        (lambda: TinyworldText(chats=1.2, seed=0), "chats"),
        (lambda: TinyworldText(chats=0.8, stories=0.3, seed=0), "stories"),
        (lambda: TinyworldText(families={"cooking": 1.0}, seed=0), "families.cooking"),
        (lambda: TinyworldCode(max_length=20, seed=0), "max_length"),
    ],
)
def test_settings_that_cannot_work_are_refused(make, setting):
    with pytest.raises(SettingError, match=setting.replace(".", r"\.")):
        make()


def rows(corpora, name, split):
    return list(corpora[name].rows(split))


def every_question(data):
    return [q for split in ("train", "validation") for row in data.rows(split) for q in asked(row)]

"""Every field of a row is used or remarked on: nothing is dropped silently."""

import json

import pytest

from storm_data.rows.bad_row import BadRow
from storm_data.rows.chat import OPENING, ChatRows
from storm_data.rows.document import DocumentRows
from storm_data.rows.fields import Fields
from storm_data.rows.preference import REVERSED, TIED, PreferenceRows
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.sources.preference_jsonl import PreferenceJsonl
from storm_exp import SettingError
from storm_models.chat.conversation import Conversation


def user(text, **more):
    return {"role": "user", "content": text, **more}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def said(row, **settings):
    content = ChatRows(**settings).read(row)
    return [(turn["role"], turn["content"]) for turn in content.columns["messages"]]


def remarks(row, rows=None):
    return set((rows or ChatRows()).read(row).remarks)


def reason(row, rows=None):
    with pytest.raises(BadRow) as caught:
        (rows or ChatRows()).read(row)
    return caught.value.reason


QUESTIONS = {
    "dolly": (
        {"instruction": "Who?", "context": "Ann came.", "response": "Ann.", "category": "qa"},
        [("user", "Who?\n\nAnn came."), ("assistant", "Ann.")],
    ),
    "helpsteer": (
        {"prompt": "Hi", "response": "Hello", "helpfulness": 4, "verbosity": 1},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "trl": (
        {"prompt": "Hi", "completion": "Hello"},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "trl, messages": (
        {"prompt": [user("Hi"), assistant("Yes?"), user("x")], "completion": [assistant("Hello")]},
        [("user", "Hi"), ("assistant", "Yes?"), ("user", "x"), ("assistant", "Hello")],
    ),
    "llama-factory": (
        {"instruction": "c", "input": "", "output": "d", "system": "s", "history": [["a", "b"]]},
        [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    ),
    "a question in the second column": (
        {"inputs": "Hi", "targets": "Hello"},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "an empty instruction": (
        {"instruction": " ", "input": "Hi", "output": "Hello"},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "an empty column before the one with the question": (
        {"instruction": "", "question": "Hi", "output": "", "response": "Hello"},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "an empty list of messages beside a question": (
        {"messages": [], "question": "Hi", "answer": "Hello"},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "an empty column before the one with the prompt": (
        {"prompt": "", "question": "Hi", "chosen": "Hello", "rejected": "Hello"},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "messages with the system's words in a column": (
        {"system": "s", "messages": [user("Hi"), assistant("Hello")]},
        [("system", "s"), ("user", "Hi"), ("assistant", "Hello")],
    ),
    "messages as JSON text": (
        {"messages": json.dumps([user("Hi"), assistant("Hello")])},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
    "orca pairs": (
        {"system": "s", "question": "Hi", "chosen": "Hello", "rejected": "Hello"},
        [("system", "s"), ("user", "Hi"), ("assistant", "Hello")],
    ),
    "pandas": (
        {"instruction": "Hi", "input": float("nan"), "output": "Hello", "note": float("nan")},
        [("user", "Hi"), ("assistant", "Hello")],
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_published_form_is_read_whole(name):
    row, expected = QUESTIONS[name]
    assert said(row) == expected
    assert remarks(row) == set()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [user("a"), assistant("b")], "context": "c"}, {"unused: context"}),
        ({"messages": [user("a"), assistant("b", thinking="x")]}, {"unused: message.thinking"}),
        ({"messages": [user("a"), assistant("b", id="1", model="m")], "score": 2}, set()),
        ({"messages": [user("a"), assistant("b")], "prompt": " a ", "prompt_id": "9"}, set()),
        ({"instruction": "a", "output": "b", "text": "### a\n### b"}, set()),
        ({"instruction": "a", "output": "b", "text": "### a"}, {"unused: text"}),
        ({"instruction": "a", "output": "b", "images": [], "more": {"a": [None]}}, set()),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, {"unused: rejected"}),
        ({"prompt": "a", "completion": "b", "is_correct": False}, {"unused: is_correct"}),
        ({"prompt": "a", "completion": "b", "is_safe": False}, {"unused: is_safe"}),
        ({"prompt": "a", "completion": "b", "quality": False}, {"unused: quality"}),
        ({"prompt": "a", "completion": "b", "status": "bad answer"}, {"unused: status"}),
        ({"prompt": "a", "completion": "b", "comment": "see also: x"}, {"unused: comment"}),
        ({"prompt": "a", "completion": "b", "n_best": ["c"]}, {"unused: n_best"}),
        ({"prompt": "a", "completion": "b", "token_text": "hello"}, {"unused: token_text"}),
        ({"prompt": "a", "completion": "b", "rating": "unusable"}, {"unused: rating"}),
        ({"prompt": "a", "completion": "b", "n_tokens": 3, "num_turns": "2", "count": 1}, set()),
        ({"prompt": "a", "completion": "b", "token_ids": [1], "url": "u", "rating": 4.5}, set()),
        ({"prompt": "a", "completion": "b", "scores": {"x": [0.5, None]}, "tokens": 9}, set()),
        ({"prompt": "a", "completion": "b", "reward_model": "r", "instruct_reward": -2}, set()),
        (
            {"messages": [{"role": "system", "content": ""}, user("a"), assistant("b")]},
            {"empty system message"},
        ),
        (
            {"messages": [user([{"type": "text", "text": "a", "cache": 1}]), assistant("b")]},
            {"unused: part.cache"},
        ),
        (
            {"messages": [assistant("x"), user("a"), assistant("b")]},
            {OPENING},
        ),
    ],
    ids=str,
)
def test_what_is_not_used_is_remarked_on_unless_it_says_nothing(row, expected):
    assert remarks(row) == expected


PREAMBLES = (
    "Below is an instruction that describes a task. Write a response that completes it.\n\n",
    "Below is an instruction that describes a task, paired with an input. Write a response.\n\n",
)


@pytest.mark.parametrize(
    "text",
    [
        PREAMBLES[0] + "### Instruction:\n2+2\n\n### Response:\n4",
        "<|im_start|>user\n2+2<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n",
        "<s>[INST] 2+2 [/INST] 4</s>",
        "A chat between a curious user and a polite assistant. USER: 2+2 ASSISTANT: 4</s>",
        "2+2 = 4",
    ],
)
def test_a_text_that_a_template_made_of_the_row_repeats_it(text):
    assert remarks({"question": "2+2", "answer": "4", "text": text}) == set()
    assert remarks(pair(text="### a\n### b\n### c"), PreferenceRows()) == set()


@pytest.mark.parametrize(
    "rationale",
    [
        "2+2 means we add two and two, carry nothing, so the result is 4",
        "We add two and two, carry nothing, so the result is 2+2 = 4",
        "Question: 2+2\nWe add two and two, and carry nothing.\nAnswer: 4",
        "2+2 = 4, for we add two and two, and carry nothing.",
        "二加二的意思是把两个二相加并且不需要进位因此最后的结果如下 2+2 4",
    ],
)
def test_reasoning_that_repeats_question_and_answer_is_remarked_on(rationale):
    row = {"question": "2+2", "answer": "4", "rationale": rationale}
    assert remarks(row) == {"unused: rationale"}
    assert remarks(
        pair(note="a is better answered by b, and not as c would have it"), PreferenceRows()
    ) == {"unused: note"}


def test_what_opens_a_rendering_is_the_same_in_many_rows():
    same, different = ChatRows(), ChatRows()
    for n in range(20):
        row = {"question": f"{n}+2", "answer": f"{n + 2}"}
        rendered = f"### Instruction:\n{n}+2\n\n### Response:\n{n + 2}"
        assert remarks({**row, "text": PREAMBLES[n % 2] + rendered}, same) == set()
        told = remarks({**row, "text": f"We have {n} and add two, to find:\n{rendered}"}, different)
    assert told == {"unused: text"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [user([{"type": "image_url", "image_url": 1}]), assistant("b")]}, "not text"),
        ({"messages": [user("a", images=["x.png"]), assistant("b")]}, "not text"),
        ({"messages": [user("<image>a"), assistant("b")], "images": ["x.png"]}, "not text"),
        ({"messages": [user("a"), assistant("b", weight=0.5)]}, "unusable weight"),
        ({"messages": [user("a"), assistant("b", weight=0)]}, "nothing to learn"),
        ({"messages": [assistant("x"), user("a")]}, "no assistant turn"),
        ({"prompt": "a", "completion": "b", "label": False}, "marked as bad"),
        ({"instruction": "a", "output": {"text": "b"}}, "malformed message"),
    ],
    ids=str,
)
def test_what_cannot_be_shown_as_text_is_rejected(row, expected):
    assert reason(row) == expected


@pytest.mark.parametrize(
    ("turn", "learnt"),
    [
        ({"weight": 0}, False),
        ({"weight": 1}, True),
        ({"weight": None}, True),
        ({"loss": False}, False),
        ({"loss": True}, True),
        ({"train": False, "weight": 1}, False),
        ({"training": False}, False),
        ({"loss": 0.0}, True),  # a measurement
    ],
    ids=str,
)
def test_a_turn_of_weight_0_is_context(turn, learnt):
    row = {"messages": [user("a"), assistant("five", **turn), user("c"), assistant("four")]}
    columns = ChatRows().read(row).columns
    assert Conversation.of(columns).supervised == [True, learnt, True, True]
    assert [turn["content"] for turn in columns["messages"]] == ["a", "five", "c", "four"]


def test_where_the_assistant_speaks_first_that_is_context_in_every_stage():
    row = {"messages": [assistant("Welcome."), user("a"), assistant("b")]}
    content = ChatRows().read(row)
    assert Conversation.of(content.columns).supervised == [False, True, True]
    whole = Conversation.of({"prompt": [user("a")]}, "prompt") + Conversation.of(
        {"chosen": [assistant("b"), user("c"), assistant("d")]}, "chosen"
    )
    assert whole.supervised == [True] * 4


def test_fields_name_columns_of_any_names():
    row = {"ask": "Why?", "reply": "So.", "note": "Because.", "messages": "none"}
    fields = {"question": "ask", "answer": "reply", "further": "note"}
    assert said(row, fields=fields) == [("user", "Why?\n\nBecause."), ("assistant", "So.")]
    row = {"dialogue": [{"who": "human", "says": "Hi"}, {"who": "bot", "says": "Hello"}]}
    fields = {"messages": "dialogue", "role": "who", "content": "says"}
    assert said(row, fields=fields) == [("user", "Hi"), ("assistant", "Hello")]
    pair = PreferenceRows({"prompt": "ask", "chosen": "good", "rejected": "bad"})
    columns = pair.read({"ask": "Why?", "good": "So.", "bad": "No."}).columns
    assert [columns[name][0]["content"] for name in ("prompt", "chosen", "rejected")] == [
        "Why?",
        "So.",
        "No.",
    ]
    assert DocumentRows({"text": "raw"}).read({"raw": "x", "text": "y"}).columns == {"text": "x"}
    assert reason({"raw": "x"}, DocumentRows({"text": "body"})) == "no text"
    assert said({"messages": [user("a"), assistant("b")]}, fields={"answer": "x"}) == [
        ("user", "a"),
        ("assistant", "b"),
    ]


@pytest.mark.parametrize(
    ("component", "fields", "message"),
    [
        (ChatJsonl, {"anwser": "x"}, r"fields='anwser'.*answer"),
        (ChatJsonl, {"response": "x"}, "a column of this name is set by fields.answer"),
        (PreferenceJsonl, {"chosn": "x"}, "fields='chosn'.*chosen"),
        (ChatJsonl, {"answer": ""}, r"fields\.answer"),
    ],
)
def test_fields_that_a_row_does_not_have_are_refused(component, fields, message):
    with pytest.raises(SettingError, match=message):
        component(path="x", seed=0, fields=fields)


def pair(chosen=None, rejected=None, **more):
    scores = {"score_chosen": chosen, "score_rejected": rejected}
    return {"prompt": "a", "chosen": "b", "rejected": "c", **scores, **more}


def test_ties_and_reversed_scores_of_pairs_are_counted_or_rejected():
    rows = PreferenceRows()
    assert remarks(pair(2.0, 1.0), rows) == set()
    assert remarks(pair(2.0, 2), rows) == {TIED}
    assert remarks(pair(1, 2), rows) == {REVERSED}
    assert remarks(pair(), rows) == set()
    assert remarks(pair(margin=3.0), rows) == {"unused: margin"}
    strict = PreferenceRows(min_margin=0.5)
    assert reason(pair(2, 1.75), strict) == "scores too close"
    assert reason(pair(), strict) == "no scores"
    assert remarks(pair(2, 1), strict) == set()


def test_the_system_of_a_pair_in_its_own_column_joins_whole_conversations():
    sides = {name: [user("a"), assistant(name)] for name in ("chosen", "rejected")}
    columns = PreferenceRows().read({"system": "s", "prompt": "a", **sides}).columns
    assert columns["prompt"] == [{"role": "system", "content": "s"}, user("a")]


def test_a_document_says_what_is_left_of_its_row(tmp_path):
    content = DocumentRows().read({"text": "x", "meta": {"a": 1}, "title": "T", "url": "u"})
    assert content.remarks == {"unused: title"}


def test_a_field_counts_as_used_under_whichever_name_it_was_found():
    fields = Fields({"b": "1", "c": "2"}, {"a": ("x", "b")})
    assert fields.peek("a") == "1" and fields.get("a") == "1"
    fields.close()
    assert fields.remarks == {"unused: c"}

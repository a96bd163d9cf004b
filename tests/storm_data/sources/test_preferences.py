import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_data.rows.arrow_schema import preference_schema
from storm_data.rows.bad_row import BadRow
from storm_data.rows.preference import PreferenceRows
from storm_data.sources.preference_jsonl import PreferenceJsonl
from storm_exp import InputError
from storm_exp.testing import make_stage


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SYSTEM = {"role": "system", "content": "Be kind."}


def pair(number, chosen="yes", rejected="no", **more):
    return {"prompt": f"Is {number} good?", "chosen": chosen, "rejected": rejected, **more}


def make(tmp_path, rows, name="stage", **settings):
    file = tmp_path / "pairs.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    file.write_bytes(b"\n".join(lines) + b"\n")
    component = PreferenceJsonl(path=str(file), **{"seed": 0, "validation_rows": 1, **settings})
    return component.run(make_stage(tmp_path, name))


GOOD = {
    "ultrafeedback": (
        {
            "prompt": "Hi",
            "prompt_id": "x",
            "chosen": [user("Hi"), assistant("Hello")],
            "rejected": [user("Hi"), assistant("What?")],
            "messages": [user("Hi"), assistant("Hello")],
            "score_chosen": 8.0,
        },
        ([user("Hi")], [assistant("Hello")], [assistant("What?")]),
    ),
    "ultrafeedback with a system message": (
        {
            "prompt": "Hi",
            "chosen": [SYSTEM, user("Hi"), assistant("Hello")],
            "rejected": [SYSTEM, user("Hi"), assistant("What?")],
        },
        ([SYSTEM, user("Hi")], [assistant("Hello")], [assistant("What?")]),
    ),
    "orca pairs": (
        {"system": "Be kind.", "question": "Hi", "chosen": "Hello", "rejected": "What?"},
        ([SYSTEM, user("Hi")], [assistant("Hello")], [assistant("What?")]),
    ),
    "orca pairs without a system message": (
        {"system": "", "question": "Hi", "chosen": "Hello", "rejected": "What?"},
        ([user("Hi")], [assistant("Hello")], [assistant("What?")]),
    ),
    "explicit": (
        {
            "prompt": [SYSTEM, user("Hi")],
            "chosen": [assistant("Hello")],
            "rejected": [assistant("What?")],
        },
        ([SYSTEM, user("Hi")], [assistant("Hello")], [assistant("What?")]),
    ),
    "explicit, plain": (
        pair(1),
        ([user("Is 1 good?")], [assistant("yes")], [assistant("no")]),
    ),
    "implicit": (
        {
            "chosen": [user("Hi"), assistant("Hello"), user("Who?"), assistant("I.")],
            "rejected": [user("Hi"), assistant("Hello"), user("Who?"), assistant("You.")],
        },
        ([user("Hi"), assistant("Hello"), user("Who?")], [assistant("I.")], [assistant("You.")]),
    ),
    "implicit, whole conversations": (
        {
            "chosen": [user("Hi"), assistant("Hello"), user("Who?"), assistant("I.")],
            "rejected": [user("Hi"), assistant("What?")],
        },
        ([user("Hi")], [assistant("Hello"), user("Who?"), assistant("I.")], [assistant("What?")]),
    ),
    "after a tool's turn": (
        {
            "prompt": [user("Time?"), assistant("now()"), {"role": "tool", "content": "12"}],
            "chosen": "Noon.",
            "rejected": "Midnight.",
        },
        (
            [user("Time?"), assistant("now()"), {"role": "tool", "content": "12"}],
            [assistant("Noon.")],
            [assistant("Midnight.")],
        ),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_form_becomes_a_prompt_and_two_answers(name):
    row, expected = GOOD[name]
    columns = PreferenceRows().read(row).columns
    assert tuple(columns[key] for key in ("prompt", "chosen", "rejected")) == expected


BAD = [
    ({"text": "no pair"}, "no pair"),
    ({"prompt": "Hi", "chosen": "Hello"}, "no pair"),
    (pair(1, rejected=None), "no pair"),
    (pair(1, rejected=3), "malformed message"),
    (pair(1, rejected=["no"]), "malformed message"),
    (pair(1, prompt={"text": "Hi"}), "malformed message"),
    (pair(1, rejected=[{"role": "wizard", "content": "no"}]), "unknown role"),
    (pair(1, rejected=" "), "empty message"),
    (pair(1, chosen=""), "empty message"),
    (pair(1, chosen=[]), "no assistant turn"),
    (pair(1, chosen=[assistant("a"), user("b")]), "no assistant turn"),
    (pair(1, chosen="no"), "same answers"),
    (pair(1, chosen="no "), "same answers"),
    (pair(1, prompt=None), "no prompt"),
    (pair(1, prompt=""), "no prompt"),
    (pair(1, prompt=[SYSTEM]), "no user turn"),
    (pair(1, prompt=[user("Hi"), assistant("Well,")]), "no final user turn"),
    (
        {"chosen": [user("Hi"), assistant("a")], "rejected": [user("Ho"), assistant("b")]},
        "differing prompts",
    ),
    ({"chosen": [user("Hi"), assistant("a")], "rejected": [assistant("b")]}, "differing prompts"),
    (
        {
            "prompt": "Ho",
            "chosen": [user("Hi"), assistant("a")],
            "rejected": [user("Hi"), assistant("b")],
        },
        "differing prompts",
    ),
    (
        {
            "chosen": [user("Hi"), assistant("a"), user("x"), assistant("b")],
            "rejected": [user("Hi"), assistant("a"), user("y"), assistant("c")],
        },
        "differing prompts",
    ),
    (
        {
            "chosen": [user("Hi"), assistant("a")],
            "rejected": [user("Hi"), assistant("a"), user("y"), assistant("c")],
        },
        "differing prompts",
    ),
    (pair(1, chosen="y" * 600), "enormous"),
    (b"{", "not JSON"),
    (pair(0, "yes", "no"), "duplicate"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=lambda value: str(value)[:40])
def test_a_bad_row_is_rejected_with_its_line_and_reason(tmp_path, row, reason):
    rows = [pair(0), pair(2), row, pair(3)]
    dataset = make(tmp_path, rows, max_characters=500)
    assert dataset.count("train") + dataset.count("validation") == 3
    (rejected,) = dataset.rows("rejected")
    assert (rejected["line"], rejected["reason"]) == (3, reason)
    assert rejected["prompt"] is None and rejected["text"]


def test_rows_have_the_schema_of_preferences(tmp_path):
    dataset = make(tmp_path, [pair(0, id=7, source="a"), pair(1)])
    assert dataset.table("train").schema.equals(preference_schema())
    rows = [*dataset.rows("train"), *dataset.rows("validation")]
    assert {row["source"] for row in rows} == {"a", "preference"}
    assert "7" in {row["id"] for row in rows}


@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=12),
    wanted=st.integers(0, 8),
    seed=st.integers(0, 3),
)
def test_rows_that_share_a_prompt_share_a_split(tmp_path_factory, sizes, wanted, seed):
    rows = [pair(n, chosen=f"yes {i}") for n, size in enumerate(sizes) for i in range(size)]
    if wanted >= len(rows):
        return
    settings = {"validation_rows": wanted, "validation_share": 0.0, "seed": seed}
    dataset = make(tmp_path_factory.mktemp("pairs"), rows, **settings)
    train, validation = (
        {row["prompt"][0]["content"] for row in dataset.rows(split)}
        for split in ("train", "validation")
    )
    assert not train & validation
    assert dataset.count("validation") <= wanted
    assert dataset.count("validation") == wanted or max(sizes) > 1


def test_the_forecast_holds(tmp_path):
    rows = [pair(n // 3, chosen=f"yes {n}") for n in range(30)] + [b"{"] * 5
    for settings in ({"validation_rows": 4}, {"validation_share": 0.2}, {"validation_share": 0.0}):
        dataset = make(tmp_path, rows, str(settings), **{"validation_rows": 0, **settings})
        component = PreferenceJsonl(path=str(tmp_path / "pairs.jsonl"), seed=0, **settings)
        spec, facts = component.plan_spec(), dataset.spec()
        for name, (low, high) in spec.splits.items():
            assert low <= facts.splits[name][0] <= high
        assert facts.columns == spec.columns


def test_too_many_bad_rows_are_an_error_with_counts_and_examples(tmp_path):
    rows = [pair(0), pair(1), pair(2, chosen="no"), pair(3, rejected=""), pair(4, rejected="")]
    with pytest.raises(InputError, match=r"3 of 5 rows are bad.*empty message: 2, same answers: 1"):
        make(tmp_path, rows)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@given(question=TEXT, chosen=TEXT, rejected=TEXT, system=st.none() | TEXT)
def test_all_forms_of_a_pair_say_the_same(question, chosen, rejected, system):
    prompt = [user(question)] if system is None else [SYSTEM | {"content": system}, user(question)]
    forms = [
        {"system": system, "question": question, "chosen": chosen, "rejected": rejected},
        {"prompt": prompt, "chosen": [assistant(chosen)], "rejected": [assistant(rejected)]},
        {"chosen": [*prompt, assistant(chosen)], "rejected": [*prompt, assistant(rejected)]},
        {
            "prompt": question,
            "chosen": [*prompt, assistant(chosen)],
            "rejected": [*prompt, assistant(rejected)],
        },
    ]
    if chosen.strip() == rejected.strip():
        for row in forms:
            with pytest.raises(BadRow, match="same answers"):
                PreferenceRows().read(row)
        return
    first, *others = (PreferenceRows().read(row) for row in forms)
    assert first.columns["prompt"] == prompt
    assert all(other == first for other in others)

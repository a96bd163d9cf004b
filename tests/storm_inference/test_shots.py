"""Few-shot examples before a question."""

from __future__ import annotations

from storm_inference.shots import Shots, put_before


def row(name, task, *turns):
    messages = [{"role": r, "content": c, "tool_calls": None} for r, c in turns]
    return {"id": name, "source": task, "messages": messages}


def chat(name, task):
    return row(name, task, ("user", f"{task} {name}?"), ("assistant", f"{name}!"))


ROWS = [chat(f"{task}{n}", task) for task in ("sum", "spell") for n in range(5)]


def test_examples_are_other_rows_of_the_same_task_with_their_answers():
    shots = Shots(ROWS, 3, "source", seed=0)
    for asked in ROWS:
        turns = shots.of(asked)
        assert [turn["role"] for turn in turns] == ["user", "assistant"] * 3
        questions = [turn["content"] for turn in turns[::2]]
        assert len(set(questions)) == 3
        assert asked["messages"][0]["content"] not in questions
        assert {question.split()[0] for question in questions} == {asked["source"]}


def test_examples_depend_only_on_the_seed_and_the_row():
    forwards, backwards = (Shots(ROWS, 2, "source", seed=0) for _ in range(2))
    examples = {asked["id"]: forwards.of(asked) for asked in ROWS}
    assert examples == {asked["id"]: backwards.of(asked) for asked in reversed(ROWS)}
    assert examples != {asked["id"]: Shots(ROWS, 2, "source", seed=1).of(asked) for asked in ROWS}


def test_a_task_with_too_few_rows_uses_all_of_them():
    assert len(Shots(ROWS[:2], 3, "source", seed=0).of(ROWS[0])) == 2


def test_chats_of_several_turns_are_no_examples():
    long = row("x", "sum", ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
    assert Shots([long, ROWS[0]], 3, "source", seed=0).of(ROWS[1]) == [
        {"role": turn["role"], "content": turn["content"]} for turn in ROWS[0]["messages"]
    ]


def test_a_system_turn_stays_first():
    system, user = {"role": "system", "content": "s"}, {"role": "user", "content": "u"}
    example = {"role": "user", "content": "e"}
    assert put_before([system, user], [example]) == [system, example, user]
    assert put_before([user], [example]) == [example, user]

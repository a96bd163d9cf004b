import ast
import contextlib
import io
import json
import random
import re
from importlib.resources import files

import pytest
import yaml

from storm_tinyworld.base_model.vocabulary import CHARACTERS
from storm_tinyworld.corpora.documents import token_count
from storm_tinyworld.corpora.task_documents import DOCUMENTS, render, task_examples
from storm_tinyworld.skills.basic import DIFFICULTIES, FAMILIES, make_example
from storm_tinyworld.skills.function_calling import SIGNATURES
from storm_tinyworld.skills.skill_registry import ALIGNMENT, EVERY_FAMILY, FURTHER_FAMILIES

EVERY = [(family, difficulty) for family in FURTHER_FAMILIES for difficulty in DIFFICULTIES]
LONGEST = 256


def draws(family, difficulty, count=200):
    draw = random.Random(f"{family} {difficulty}")
    return [make_example(draw, family, difficulty, EVERY_FAMILY) for _ in range(count)]


def printed(program):
    """Return Python's output."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(program, "program", "exec"), {})
    return output.getvalue().removesuffix("\n")


def solve_story(text):
    first, second = (int(number) for number in re.findall(r"\d+", text))
    sign = "+" if {"gets", "finds"} & set(text.replace(",", "").split()) else "-"
    return f"{first}{sign}{second}={first + second if sign == '+' else first - second}"


def solve_several(text):
    _, term, constraints = text.split(" ", 2)
    asked = constraints.split(", ")
    answer = term.upper() if "capitals" in asked else term
    answer = " ".join([answer] * 2) if "twice" in asked else answer
    answer = answer + "!" if "with a !" in asked else answer
    return f'"{answer}"' if "in quotes" in asked else answer


def solve_manner(text):
    who, term = re.fullmatch(r"You are a (\w+)\. Say (\w+)\.", text).groups()
    return {
        "robot": f"{term.upper()}.",
        "pirate": f"Arr, {term}!",
        "cat": f"{term}, meow",
        "ghost": f"Boo! {term}",
        "parrot": f"{term} {term}!",
    }[who]


def solve_identity(text):
    role = re.match(r"You are (?P<Name>\w+), a (?P<Job>\w+)(?: of (?P<Town>\w+))?\.", text)
    asked = text.split()[-1].rstrip("?")
    return f"I am {'a ' * (asked == 'Job')}{'from ' * (asked == 'Town')}{role[asked]}"


def solve_passage(text):
    passage, question = text.split("\n")
    asked = question.removesuffix("what?")
    found = [sentence for sentence in passage.rstrip(".").split(". ") if sentence.startswith(asked)]
    return found[0] if found else "not said"


def solve_call(text):
    declared, request = text.removeprefix("<tools>").split("</tools>")
    tools = {name: keys.split(",") for name, keys in re.findall(r"(\w+)\(([\w,]+)\)", declared)}
    name, *values = request.split()
    if len(values) < len(tools[name]):
        return "[]"
    call = {"tool_name": name, "tool_arguments": dict(zip(tools[name], values, strict=True))}
    return f"<tool_call>{json.dumps(call)}</tool_call>"


def solve(example):
    """Return the answer of an independent solver, from the question's text only."""
    text = example.instruction
    match example.skill:
        case "subtraction":
            return str(int(text.split("-")[0]) - int(text.split("-")[1].rstrip("?")))
        case "story":
            return solve_story(text)
        case "assignments" | "texts" | "choices":
            return printed(text)
        case "several":
            return solve_several(text)
        case "joined":
            _, _, sign, *terms = text.split(" ")
            return sign.join(terms)
        case "manner":
            return solve_manner(text)
        case "identity":
            return solve_identity(text)
        case "people" | "relations":
            return solve_passage(text)
        case "two_arguments" | "unheard_of":
            return solve_call(text)
    raise AssertionError(example.skill)


@pytest.mark.parametrize(("family", "difficulty"), EVERY)
def test_the_gold_answer_is_what_a_solver_finds_and_a_mistake_is_another(family, difficulty):
    for example in draws(family, difficulty):
        assert example.response == solve(example) != example.mistake


@pytest.mark.parametrize(("family", "difficulty"), EVERY)
def test_every_character_is_of_the_world_and_every_chat_is_short(family, difficulty):
    for example in draws(family, difficulty):
        texts = (example.instruction, example.response, example.mistake)
        assert set("".join(texts)) <= set(CHARACTERS)
        assert token_count(example.instruction + example.response) + 5 <= LONGEST / 2


def test_stories_count_with_numbers_that_are_not_negative():
    for difficulty in DIFFICULTIES:
        for example in draws("arithmetic", difficulty):
            assert int(example.response.split("=")[-1]) >= 0


def test_a_passage_answers_most_questions_and_not_all():
    answers = [e.response for d in DIFFICULTIES for e in draws("retrieval", d)]
    assert 0.1 < answers.count("not said") / len(answers) < 0.3


def test_a_call_is_refused_where_an_argument_is_missing_and_only_there():
    answers = [e for e in draws("function_calling", "hard") if e.skill == "two_arguments"]
    refused = [e for e in answers if e.response == "[]"]
    assert 0.1 < len(refused) / len(answers) < 0.4
    for example in answers:
        name, *values = example.instruction.split("</tools>")[1].split()
        assert (len(values) < len(SIGNATURES[name])) == (example in refused)


def test_the_families_of_alignment_are_those_that_minitron_names():
    assert set(ALIGNMENT) == {"constraints", "role_play", "retrieval", "function_calling"}


def test_further_families_leave_the_pool_s_alone():
    assert set(FAMILIES) == {"following", "lookup", "reasoning", "tools"}
    assert not set(FAMILIES) & set(FURTHER_FAMILIES)
    skills = [skill for family in EVERY_FAMILY.values() for skill in family]
    assert len(set(skills)) == len(skills)


@pytest.mark.parametrize("family", FURTHER_FAMILIES)
def test_committed_task_documents_are_what_is_generated(family):
    committed = files("storm_tinyworld") / "tasks" / f"{family}.jsonl"
    assert committed.read_text(encoding="utf-8") == render(family)


@pytest.mark.parametrize("family", FURTHER_FAMILIES)
def test_a_task_has_distinct_held_out_questions_of_every_difficulty_alike(family):
    asked = task_examples(family)
    assert len({example.instruction for example in asked}) == len(asked) == DOCUMENTS
    assert all(example.held_out for example in asked)
    counts = {d: sum(e.difficulty == d for e in asked) for d in DIFFICULTIES}
    assert set(counts.values()) == {DOCUMENTS // 3}


@pytest.mark.parametrize("family", EVERY_FAMILY)
def test_a_task_lets_the_model_write_its_longest_answer(family):
    task = yaml.safe_load((files("storm_tinyworld") / "tasks" / f"{family}.yaml").read_text())
    longest = max(token_count(example.response) for example in task_examples(family))
    assert task["task"] == f"tinyworld_{family}"
    assert task["generation_kwargs"]["max_gen_toks"] > longest


def test_the_oracle_of_programs_reads_python():
    for example in draws("code", "hard", 20):
        assert isinstance(ast.parse(example.instruction), ast.Module)

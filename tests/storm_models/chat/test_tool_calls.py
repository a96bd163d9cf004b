"""Calls as text: all spellings are equivalent, and no text can hang the parser or run code."""

from __future__ import annotations

import ast
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storm_models.chat.literals import LONGEST, UnreadableLiteral, read_literal
from storm_models.chat.tool_calls import (
    CallSpelling,
    MalformedCall,
    ParsedAnswer,
    ToolCall,
    parse_answer,
)
from storm_models.chat.tool_prompt import tool_prompt

TAGS = st.sampled_from(["<tool_call>", "a </tool_call>", "\\</tool_call>'\"\x00"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | TAGS
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
CALLS = st.builds(ToolCall, TEXTS.filter(bool), st.dictionaries(TEXTS, VALUES, max_size=3))
ETHEREUM = ToolCall("web_chain_details", {"chain_slug": "ethereum"})


def tagged(body):
    return f"<tool_call>{body}</tool_call>"


@given(VALUES)
def test_a_value_is_read_back_as_json_and_as_a_python_literal(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value)):
        assert read_literal(text) == value
    assert read_literal(repr(value)) == ast.literal_eval(repr(value))


@given(st.lists(CALLS, max_size=3), st.sampled_from(CallSpelling))
def test_calls_are_read_back_in_every_spelling(calls, spelling):
    written = "\n".join(call.text(spelling) for call in calls)
    if "<tool_call>" not in "".join(json.dumps([c.name, c.arguments]) for c in calls):
        assert parse_answer(written) == ParsedAnswer("", calls)


@pytest.mark.parametrize(
    "body",
    [
        '{"tool_name": "web_chain_details", "tool_arguments": {"chain_slug": "ethereum"}}',
        "{'tool_name': 'web_chain_details', 'tool_arguments': {'chain_slug': 'ethereum'}}",
        '\n{"name": "web_chain_details", "arguments": {"chain_slug": "ethereum"}}\n',
        "{'name': 'web_chain_details', 'parameters': {'chain_slug': \"ethereum\",},}",
        "[{'name': 'web_chain_details', 'arguments': {'chain_slug': 'ethereum'}}]",
    ],
)
def test_the_cards_example_is_one_call_in_any_spelling(body):
    assert parse_answer(tagged(body)) == ParsedAnswer("", [ETHEREUM])
    assert parse_answer(f"Let me look.\n<tool_call>{body}") == ParsedAnswer(
        "Let me look.", [ETHEREUM]
    )


def test_json_and_python_may_be_mixed():
    text = "{'a': true, \"b\": None, 'c': (1, -2.5e3, 'it\\'s'), 'd': \"it's\", 'e': '\\u00fc'}"
    assert read_literal(text) == {
        "a": True, "b": None, "c": [1, -2500.0, "it's"], "d": "it's", "e": "ü"
    }  # fmt: skip


@pytest.mark.parametrize("text", ["[]", " []\n", ""])
def test_the_empty_list_calls_nothing(text):
    assert parse_answer(text) == ParsedAnswer("", [])


def test_an_answer_in_prose_calls_nothing():
    assert parse_answer("It rains.") == ParsedAnswer("It rains.", [])


@pytest.mark.parametrize(
    "body",
    [
        "",
        "find",
        "find(what='a')",
        "{'tool_name': 'find', 'tool_arguments': {'a': __import__('os')}}",
        "{'tool_name': 'find', 'tool_arguments': {'a': 1+1}}",
        "{'tool_name': 'find', 'tool_arguments': {'a': 9**9**9}}",
        "{'tool_name': 'find', 'tool_arguments': {'a': Coeur d'Alene}}",
        "{'tool_name': 'find', 'tool_arguments': {'a': 1, 'a': 2}}",
        "{'tool_name': 'find', 'tool_arguments': {'a' 1}}",
        "{'tool_name': 'find', 'tool_arguments': {1: 1}}",
        "{'tool_name': 'find', 'tool_arguments': {'a': NaN}}",
        "{'tool_name': 'find', 'tool_arguments': {'a': 1e999}}",
        "{'tool_name': 'find', 'tool_arguments': [1]}",
        "{'tool_name': 'find'} {'tool_name': 'find'}",
        "{'tool_name': '', 'tool_arguments': {}}",
        "{'tool_arguments': {}}",
        "[1]",
        "{'tool_name': 'find', 'tool_arguments': {'a': f'{x}'}}",
        "{'tool_name': 'find', 'tool_arguments': {'a': 'x' 'y'}}",
        "{'tool_name': 'find'",
    ],
)
def test_invalid_calls_are_malformed(body):
    with pytest.raises(MalformedCall):
        parse_answer(tagged(body))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * (LONGEST - 1),
        "{'a':" * 10_000,
        "-" * 60_000 + "1",
        "9" * 60_000,
        '"' + "\\" * 60_001,
        "'" * 60_001,
        "(" * 33 + ")" * 33,
        "1" + " " * 60_000 + "x",
        "1+" * 30_000 + "1",
        "not " * 15_000 + "1",
    ],
    ids=range(11),
)
def test_hostile_text_is_refused_quickly(text):
    start = time.process_time()
    with pytest.raises(UnreadableLiteral):
        read_literal(text)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("quote", ["'", '"'])
def test_half_of_a_surrogate_pair_is_malformed_as_no_file_could_hold_it(quote):
    for text in (r"\ud83d", r"\ude00 \ud83d"):
        with pytest.raises(UnreadableLiteral, match="is not valid Unicode"):
            read_literal(f"{quote}{text}{quote}")
    assert read_literal(r'"\ud83d\ude00"') == "😀"


def test_an_answer_of_too_many_calls_is_refused():
    with pytest.raises(MalformedCall, match="more than 128 calls"):
        parse_answer(tagged("{'name': 'a'}") * 200)
    with pytest.raises(MalformedCall, match="characters"):
        parse_answer("<tool_call>" * 100_000)


@given(st.text(max_size=60) | st.text("{}[]()<tool_call>/'\",:0123 \\eE+-.", max_size=60))
def test_any_text_is_parsed_or_malformed(text):
    try:
        answer = parse_answer(text)
    except MalformedCall:
        return
    json.dumps([[call.name, call.arguments] for call in answer.calls], allow_nan=False)


FIND = {"name": "find", "description": "Finds { a } thing.", "parameters": {"what": {}}}


def test_the_prompt_is_the_cards():
    assert tool_prompt([FIND]) == (
        "You are a function calling AI model. You may call one or more functions to assist with "
        "the user query. Don't make assumptions about what values to plug into function. The user "
        "may use the terms function calling or tool use interchangeably.\n"
        "\n"
        "Here are the available functions:\n"
        f"<tools>{json.dumps([FIND])}</tools>\n"
        "\n"
        "For each function call return a json object with function name and arguments within "
        "<tool_call></tool_call> XML tags in the format:\n"
        '<tool_call>{"tool_name": <function-name>, "tool_arguments": <args-dict>}</tool_call>'
    )


def test_guidelines_ask_for_the_empty_list_in_two_cases():
    prompt = tool_prompt([FIND], guidelines=True, spelling=CallSpelling.python_name)
    assert prompt.count('"[]"') == 2
    assert prompt.endswith(
        '<tool_call>{"name": <function-name>, "arguments": <args-dict>}</tool_call>'
    )
    assert tool_prompt([FIND]).split("\n\n")[:2] == prompt.split("\n\n")[:2]

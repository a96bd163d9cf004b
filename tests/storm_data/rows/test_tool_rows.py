"""Tool calls, their results and tools, in the formats that data sets use."""

import json

import pytest

from storm_data.rows.bad_row import BadRow
from storm_data.rows.chat import ChatRows
from storm_data.rows.preference import PreferenceRows
from storm_data.rows.tool_form import ToolForm
from storm_models.chat.conversation import Conversation
from storm_models.chat.tool_calls import CallSpelling

FIND = {"name": "find", "parameters": {"type": "object", "properties": {"what": {}}}}
TOOL = {"type": "function", "function": FIND}
ARGUMENTS = {"what": "a ü", "n": [1, None]}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def result(text, **more):
    return {"role": "tool", "content": text, **more}


def call(arguments=ARGUMENTS, **more):
    return {"type": "function", "function": {"name": "find", "arguments": arguments}, **more}


NEW = call({"new": True})


def read(row, **settings):
    return Conversation.of(ChatRows(**settings).read(row).columns)


SPOKEN = [
    user("Where?"),
    assistant("Let me look.", tool_calls=[call()]),
    result("here"),
    assistant("Here."),
]

FORMS = {
    "openai": {
        "tools": [TOOL],
        "messages": [
            user("Where?"),
            assistant("Let me look.", tool_calls=[call(json.dumps(ARGUMENTS))]),
            result("here"),
            assistant("Here.", tool_calls=None),
        ],
    },
    "plain calls, bare tools as JSON text": {
        "tools": json.dumps([FIND]),
        "messages": [
            user("Where?"),
            assistant("Let me look.", tool_calls=[{"name": "find", "arguments": ARGUMENTS}]),
            result("here"),
            assistant("Here."),
        ],
    },
    "the older function_call and functions": {
        "functions": [FIND],
        "messages": [
            user("Where?"),
            assistant("Let me look.", function_call=call(json.dumps(ARGUMENTS))["function"]),
            {"role": "function", "content": "here"},
            assistant("Here."),
        ],
    },
    "sharegpt, text and call as two turns": {
        "tools": json.dumps([FIND]),
        "conversations": [
            {"from": "human", "value": "Where?"},
            {"from": "gpt", "value": "Let me look."},
            {"from": "function_call", "value": json.dumps(call()["function"])},
            {"from": "observation", "value": "here"},
            {"from": "gpt", "value": "Here."},
        ],
    },
    "tools as a list of JSON texts": {
        "tools": [json.dumps(TOOL)],
        "messages": SPOKEN,
    },
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_call_reads_the_same(name):
    content = ChatRows().read(FORMS[name])
    assert Conversation.of(content.columns) == Conversation(SPOKEN, [TOOL])
    assert content.remarks == frozenset()


def test_a_turn_may_be_calls_alone_and_a_tool_may_answer_with_nothing():
    turns = [user("Where?"), assistant(None, tool_calls=[call(id="c1"), call({}, id="c2")])]
    turns += [result("", tool_call_id="c1", name="find"), result("here", tool_call_id="c2")]
    found = read({"messages": turns})
    assert found.messages == [turns[0], {**turns[1], "content": ""}, *turns[2:]]
    assert found.tools is None


def test_calls_of_sharegpt_one_after_the_other_are_one_turn():
    calls = [{"name": "find", "arguments": {"what": word}} for word in "ab"]
    turns = [{"from": "human", "value": "Where?"}]
    turns += [{"from": "function_call", "value": json.dumps(one)} for one in calls]
    (_, called) = read({"conversations": turns}).messages
    assert [one["function"] for one in called["tool_calls"]] == calls
    turns[1:] = [{"from": "function_call", "value": json.dumps(calls)}]
    assert read({"conversations": turns}).messages[1] == called


def test_answers_may_be_calls_in_a_column_of_their_own():
    calls = json.dumps([{"name": "find", "arguments": ARGUMENTS}])
    row = {"query": "Where?", "answers": calls, "tools": json.dumps([FIND])}
    found = read(row, fields={"calls": "answers"})
    assert found == Conversation([user("Where?"), assistant("", tool_calls=[call()])], [TOOL])


@pytest.mark.parametrize(
    ("turn", "tools", "reason"),
    [
        (assistant("x", tool_calls="{"), None, "malformed call"),
        (assistant("x", tool_calls=[3]), None, "malformed call"),
        (assistant("x", tool_calls=[call("[1]")]), None, "malformed call"),
        (assistant("x", tool_calls=[call("what=a")]), None, "malformed call"),
        (assistant("x", tool_calls=[{"arguments": {}}]), None, "malformed call"),
        (assistant("x", tool_calls=[call({"a": float("nan")})]), None, "malformed call"),
        (assistant("x", tool_calls=[call({"a": "\ud800"})]), None, "malformed call"),
        (assistant("x", tool_calls=[call() | {"type": "custom"}]), None, "malformed call"),
        (assistant("x"), "find", "malformed tools"),
        (assistant("x"), [{"type": "function"}], "malformed tools"),
        (assistant("x"), ["find"], "malformed tools"),
        (assistant(None, tool_calls=[]), None, "empty message"),
    ],
    ids=str,
)
def test_a_call_that_cannot_be_shown_makes_the_row_bad(turn, tools, reason):
    with pytest.raises(BadRow) as caught:
        ChatRows().read({"messages": [user("Where?"), turn], "tools": tools})
    assert caught.value.reason == reason


def test_fields_of_a_call_that_are_not_used_are_told():
    row = {"messages": [user("Where?"), assistant("", tool_calls=[call(index=0, cached=True)])]}
    assert ChatRows().read(row).remarks == {"unused: tool_call.cached"}


def test_chats_that_differ_in_the_call_or_the_tools_alone_are_different():
    rows = [
        {"messages": [user("Where?"), assistant("", tool_calls=[call({"what": word}, id=name)])]}
        for word, name in (("a", "1"), ("b", "1"), ("a", "2"))
    ]
    rows.append({**rows[0], "tools": [TOOL]})
    first, second, again, offered = (json.dumps(ChatRows().read(row).identity) for row in rows)
    assert first == again and len({first, second, offered}) == 3


def test_pairs_that_differ_in_the_call_alone_are_pairs():
    sides = {
        side: [assistant("Let me look.", tool_calls=[call({"what": side})])]
        for side in ("chosen", "rejected")
    }
    columns = PreferenceRows().read({"prompt": "Where?", "tools": [TOOL], **sides}).columns
    for side, turns in sides.items():
        assert Conversation.of(columns, side) == Conversation(turns, [TOOL])
    sides["rejected"] = sides["chosen"]
    with pytest.raises(BadRow, match="same answers"):
        PreferenceRows().read({"prompt": "Where?", **sides})


def test_storms_form_writes_calls_tools_and_results_as_text():
    row = {
        "tools": [TOOL],
        "messages": [
            {"role": "system", "content": "Be kind."},
            user("Where?"),
            assistant("Let me look.", tool_calls=[call({"what": "ü"}, id="1"), call({}, id="2")]),
            result("here", tool_call_id="1"),
            result("there", tool_call_id="2"),
            assistant("Here.", weight=1),
        ],
    }
    found = read(row, tool_form=ToolForm.storm)
    assert found.tools is None
    system, *turns = found.messages
    assert system["content"].startswith("Be kind.\n\n")
    assert f"<tools>{json.dumps([FIND])}</tools>" in system["content"]
    assert turns == [
        user("Where?"),
        assistant(
            "Let me look.\n"
            '<tool_call>{"tool_name": "find", "tool_arguments": {"what": "ü"}}</tool_call>\n'
            '<tool_call>{"tool_name": "find", "tool_arguments": {}}</tool_call>'
        ),
        user("<tool_response>here</tool_response>\n<tool_response>there</tool_response>"),
        assistant("Here."),
    ]


def test_storms_form_of_a_pair_offers_the_tools_in_the_prompt():
    sides = {
        side: [assistant(None, tool_calls=[call({"what": side})])]
        for side in ("chosen", "rejected")
    }
    rows = PreferenceRows(tool_form=ToolForm.storm)
    columns = rows.read({"prompt": "Where?", "tools": [TOOL], **sides}).columns
    assert [turn["role"] for turn in columns["prompt"]] == ["system", "user"]
    assert columns["tools"] is None
    assert columns["rejected"][0]["content"] == (
        '<tool_call>{"tool_name": "find", "tool_arguments": {"what": "rejected"}}</tool_call>'
    )


@pytest.mark.parametrize(
    ("form", "spelling", "asked", "written"),
    [
        ("storm_card", "json", 0, '{"tool_name": "find", "tool_arguments": {"new": true}}'),
        ("storm_guidelines", "python", 2, "{'tool_name': 'find', 'tool_arguments': {'new': True}}"),
        ("storm_guidelines", "json_name", 2, '{"name": "find", "arguments": {"new": true}}'),
    ],
)
def test_storms_forms_have_the_cards_prompt_or_that_with_guidelines(form, spelling, asked, written):
    row = {"tools": [TOOL], "messages": [user("Where?"), assistant("", tool_calls=[NEW])]}
    found = read(row, tool_form=ToolForm[form], call_spelling=CallSpelling[spelling])
    system, _, answer = (message["content"] for message in found.messages)
    assert system.startswith("You are a function calling AI model.")
    assert system.count('"[]"') == asked
    assert answer == f"<tool_call>{written}</tool_call>"
    again = read({"messages": [*found.messages]}, tool_form=ToolForm.parsed)
    assert again.messages[2] == assistant("", tool_calls=[NEW])


def test_what_was_called_storm_is_the_cards_form_under_a_key_of_its_own():
    assert ToolForm["storm"] is ToolForm.storm_card and ToolForm.storm.name == "storm_card"


def test_a_call_in_the_contents_that_cannot_be_read_makes_the_row_bad():
    row = {"messages": [user("Where?"), assistant("<tool_call>find(new)</tool_call>")]}
    with pytest.raises(BadRow) as caught:
        read(row, tool_form=ToolForm.parsed)
    assert caught.value.reason == "malformed call"
    assert read(row).messages == row["messages"]


def test_calls_may_be_spelled_as_storm_and_as_python_spell_them():
    spelled = [
        [{"tool_name": "find", "tool_arguments": {"new": True}}],
        "[{'tool_name': 'find', 'tool_arguments': {'new': True}}]",
        [{"name": "find", "arguments": "{'new': True}"}],
    ]
    for calls in spelled:
        found = read({"messages": [user("Where?"), assistant("", tool_calls=calls)]})
        assert found.messages[1]["tool_calls"] == [NEW]

"""Rows of a file are split, rejected or excluded, and counted in the funnel and the report."""

import json

import pytest

from storm_data.report import rows_markup
from storm_data.sources.chat_jsonl import ChatJsonl
from storm_exp import InputError, SettingError
from storm_exp.testing import make_stage


def make(tmp_path, rows, name="stage", component=ChatJsonl, text=None, **settings):
    file = tmp_path / f"{name}.jsonl"
    file.write_text(text or "".join(json.dumps(row) + "\n" for row in rows))
    settings = {"seed": 0, "validation_rows": 1, **settings}
    made = component(path=str(file), **settings).run(make_stage(tmp_path, name))
    return made, json.loads((made.directory / "funnel.json").read_text())


def chat(number, **more):
    turns = (("user", f"{number}?"), ("assistant", f"{number}"))
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"messages": messages, **more}


def test_remarks_are_counted_by_rows_that_were_taken(tmp_path, capsys):
    rows = [chat(n, context="c") for n in range(3)] + [chat(3), chat(0, context="c")]
    rows.append({"messages": [], "context": "c"})
    _, funnel = make(tmp_path, rows)
    assert funnel["remarks"] == {"unused: context": 3}
    assert funnel["rejected"] == {"duplicate": 1, "no messages": 1}
    assert "unused: context: 3" in capsys.readouterr().err


def test_rows_of_endless_fields_do_not_fill_the_funnel(tmp_path):
    _, funnel = make(tmp_path, [chat(n, **{f"x{n}": "y"}) for n in range(300)])
    assert len(funnel["remarks"]) == 101
    assert sum(funnel["remarks"].values()) == 300


def test_rows_are_excluded_by_a_column_and_counted(tmp_path):
    rows = [chat(n, task=f"task{n}_mmmlu_x" if n % 2 else f"task{n}_qa") for n in range(10)]
    data, funnel = make(tmp_path, rows, exclude={"task": r"task\d+_mmmlu_.*"}, max_bad_share=0.0)
    assert funnel["rejected"] == {"excluded by task": 5}
    assert data.count("train") + data.count("validation") == 5
    with pytest.raises(SettingError, match="no row has a column 'tusk'; did you mean 'task'"):
        make(tmp_path, rows, name="typo", exclude={"tusk": "x"})
    with pytest.raises(SettingError, match=r"exclude\.task"):
        ChatJsonl(path="x", seed=0, exclude={"task": "("})


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"question": "ask", "answer": "reply"},
            r"fields\.question='ask': no row has a column 'ask'",
        ),
        ({"further": "pasage"}, "no row has a column 'pasage'; did you mean 'passage'"),
    ],
)
def test_a_column_that_no_row_has_is_refused(tmp_path, fields, problem):
    rows = [chat(n, passage="It rains.") for n in range(10)]
    with pytest.raises(SettingError, match=problem):
        make(tmp_path, rows, fields=fields)


def test_a_column_is_there_that_one_message_of_one_row_has(tmp_path):
    turns = [{"speaker": "user", "content": "Hi"}, {"speaker": "assistant", "content": "Hello"}]
    rows = [{"messages": json.dumps(turns)}, *(chat(n) for n in range(9))]
    limits = {"max_bad_share": 0.9, "validation_rows": 0, "validation_share": 0.0}
    _, funnel = make(tmp_path, rows, fields={"role": "speaker"}, **limits)
    assert funnel["splits"]["train"] == 1


def test_where_no_row_can_be_used_a_misspelt_column_is_told_as_well(tmp_path):
    rows = [{"ask": f"Why {n}?", "reply": "So."} for n in range(3)]
    with pytest.raises(InputError, match=r"none of the 3 .*no row has a column 'aks'.*'ask'"):
        make(tmp_path, rows, fields={"question": "aks", "answer": "reply"})


def test_one_json_list_gives_the_rows_of_the_lines(tmp_path):
    rows = [chat(n) for n in range(40)] + [{"x": 1}]
    lines, funnel = make(tmp_path, rows)
    for indent in (None, 1):
        text = "\ufeff" + json.dumps(rows, indent=indent)
        listed, same = make(tmp_path, rows, name=f"list{indent}", text=text)
        assert list(listed.rows("train")) == list(lines.rows("train"))
        assert same["splits"] == funnel["splits"] and same["rejected"] == {"no messages": 1}
    with pytest.raises(InputError, match="element 41 of the list is not JSON"):
        make(tmp_path, rows, name="torn", text=json.dumps(rows)[:-5])
    with pytest.raises(InputError, match="goes on after its list"):
        make(tmp_path, rows, name="two", text=json.dumps(rows, indent=1) + "{}")


def test_lines_may_end_as_on_windows(tmp_path):
    rows = [chat(n) for n in range(5)]
    text = "".join(json.dumps(row) + "\r\n" for row in rows)
    data, _ = make(tmp_path, rows, text=text)
    assert data.count("train") == 4 and data.count("rejected") == 0


def test_the_report_shows_what_was_rejected_and_what_was_not_used(tmp_path):
    _, funnel = make(tmp_path, [chat(1, context="c"), chat(2, **{"<b>": "x"}), {"messages": []}])
    html = str(rows_markup(funnel))
    assert "no messages" in html and "unused: context" in html
    assert "unused: &lt;b&gt;" in html and "<b>" not in html

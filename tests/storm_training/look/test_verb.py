"""The verb `look`: what is named, which rows, text and pages."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from made_up import Page
from storm_exp.testing import run


@pytest.fixture
def look(trained):
    """Run the verb in the folder of the run; returns what it said, or its error."""
    folder, _ = trained

    def call(*arguments: str, code: int = 0) -> str:
        result = run(folder, "look", *arguments)
        assert result.code == code, result.err
        return result.out if code == 0 else result.err

    return call


def rows(said: str) -> int:
    return said.count("\nexample ") + said.count("\nrow ") + said.count("\npacked row ")


def test_a_stage_a_key_and_a_path_are_the_same(look, trained):
    folder, result = trained
    (key,) = (s.key for s in result.record.stages() if s.stage == "tokens")
    shown = {tuple(look(word).splitlines()[1:]) for word in ("tokens", key[:12])}
    shown |= {tuple(look(f"{folder}/outputs/latest/tokens").splitlines()[1:])}
    assert len(shown) == 1


def test_rows_are_chosen_by_number_and_count(look):
    assert rows(look("tokens")) == 5
    assert rows(look("tokens", "--rows", "2")) == 2
    one = look("tokens", "--row", "3")
    assert rows(one) == 1 and "\nexample 3\n" in one
    assert "\nexample 4\n" in look("tokens", "--row", "3", "--rows", "2")
    assert "no rows from number 999 on" in look("tokens", "--row", "999")


def test_rows_are_chosen_by_text_whatever_the_case(look):
    found = look("tokens", "--search", "SAY A")
    assert 0 < rows(found) <= 5 and "say a" in found
    assert "no row contains 'xyz'" in look("tokens", "--search", "xyz")


def test_left_out_rows_have_reasons(look):
    said = look("tokens", "--dropped", "--rows", "1")
    assert "left out: longer than 20 tokens" in said and "say " in said
    assert "no rows that were left out" in look("dataset", "--dropped")


def test_a_run_shows_every_stage_that_holds_data(look):
    said = look()
    for title in ("dataset · train", "tokens · train", "finetuner · what it trained on"):
        assert f"{title}\n" in said
    assert rows(said) == 6


def test_a_program_gets_the_rows_as_an_object(look):
    found = json.loads(look("tokens", "--row", "2", "--json"))
    assert (found["verb"], found["error"]) == ("look", "")
    ((row,),) = [item["rows"] for item in found["items"]]
    (part,) = row["parts"]
    assert row["title"] == "example 2"
    assert {"text", "supervised", "id"} == set(part["pieces"][0])
    assert "".join(p["text"] for p in part["pieces"] if p["supervised"]) in look("tokens")


def test_a_page_is_one_file_that_runs_no_script_but_its_own(look, trained):
    file = trained[0] / "seen.html"
    assert str(file) in look("--page", str(file))
    page = Page(file.read_text(encoding="utf-8"))
    assert not {tag for tag, _ in page.tags} & {"link", "img", "iframe", "object"}
    assert len(page.scripts) == [tag for tag, _ in page.tags].count("script") == 1
    html = file.read_text(encoding="utf-8")
    assert "://" not in html and "url(" not in html and "@import" not in html
    assert "packed row 1" in page.text and "<mark class='learnt'><i>" in html


def test_escapes_of_a_file_do_not_reach_the_terminal(look, tmp_path):
    file = tmp_path / "a\x1b[2J.jsonl"
    texts = ("a\x1b]0;title\x07\rb\u202e", "half \ud800 of a character")
    rows = [
        {"id": "\x1b[1A", "question": text, "answer": text} if text else {} for text in (*texts, "")
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    good, bad = look(str(file)), look(str(file), "--dropped")
    objects = look(str(file), "--json") + look(str(file), "--dropped", "--json")
    assert not set(good + bad + objects) & set("\x1b\x07\r\u202e")
    assert r"row 1 · \x1b[1A" in good and r"a\x1b]0;title\x07\rb\u202e" in good
    assert r"row 2 · \x1b[1A" in bad and "broken UTF-8" in bad


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tokenz"], "did you mean 'tokens'"),
        (["base_model"], "(a checkpoint) holds nothing to look at"),
        (["tokens", "--split", "test"], "no split 'test'"),
        (["tokens", "--page", "a.jsonl"], "the page is HTML"),
        (["tokens", "--page", "/nowhere/a.html"], "there is no folder /nowhere"),
        (["tokens", "--row", "0"], "should be a positive whole number"),
        (["dataset", "--model", "tokens"], "is not a model"),
        (["finetuner", "--split", "validation"], "trained on the split train"),
    ],
)
def test_what_cannot_be_shown_is_refused(look, words, message):
    assert message in look(*words, code=1)


def test_a_data_set_is_shown_as_the_tokens_of_a_model(look):
    said = look("dataset", "--model", "base_model", "--rows", "1", "--ids")
    assert "tokens, " in said and " +| " in said


def test_the_report_shows_what_was_trained_on(trained):
    folder, _ = trained
    html = (folder / "outputs/latest/report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert "What training sees" in page.text and "packed row 1 · optimiser step 1" in page.text
    assert re.search(r"longer than 20 tokens \d+ train\d+, train\d+, train\d+", page.text)


def test_what_the_store_gave_up_is_said(trained, tmp_path):
    """A store may keep the manifest of an artifact whose files it removed."""
    folder = tmp_path / "copy"
    shutil.copytree(trained[0], folder, symlinks=True)
    tokens = (folder / "outputs/latest/tokens").resolve()
    (tokens / "train.input_ids.bin").unlink()
    record = folder / "outputs/latest/run.json"
    record.write_text(record.read_text("utf-8").replace(str(trained[0]), str(folder)), "utf-8")
    said = run(folder, "look")
    assert said.code == 0 and "no longer in the store: tokens\n" in said.out
    assert "These are the rows that training kept" in said.out
    assert "tokens: its files are no longer in the store" in run(folder, "look", "tokens").err

"""Paths with odd characters on the command line: they work, or it is said how to write them."""

from __future__ import annotations

import re
import shlex

import pytest

NAMES = ["a=b", "a#b", "~a", "it's", "a[1]", "ü", "a b", "a,b", "a{b}", "a$b", "日本", '"a"', "a(b"]


def write(folder):
    folder.mkdir()
    (folder / "number.txt").write_text("7", encoding="utf-8")
    return f"source.path={folder}/number.txt"


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_path_works_or_the_exact_word_is_given(storm, values, tmp_path, name):
    word = write(tmp_path / name)
    said = storm("recipe=sum", "source=from_file", word)
    if said.code:
        assert word in said.err
        corrected = re.search(r"(?:as in|write|with commas is) ('.*)$", said.err.strip())
        assert corrected, said.err
        [word] = shlex.split(corrected[1])
        said = storm("recipe=sum", "source=from_file", word)
    assert said.code == 0, said.err
    assert values()["source"] == 7.0


@pytest.mark.parametrize("name", ["a=b", "a b", "ü,[x]", "it's"])
def test_a_folder_of_presets_may_have_any_name(storm, tmp_path, name):
    recipe = tmp_path / name / "recipe" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\ndefaults: [sum]\n", encoding="utf-8")
    for words in (["-cd", str(tmp_path / name)], ["--config-dir", str(tmp_path / name)]):
        said = storm("plan", *words, "recipe=mine")
        assert said.code == 0, said.err


@pytest.mark.parametrize("setting", ["outputs", "store.path"])
def test_results_go_to_a_folder_of_any_name(storm, tmp_path, setting):
    said = storm("recipe=sum", f"{setting}={tmp_path}/a=b")
    assert said.code == 1
    assert "because of '=' put the value in quotes of its own" in said.err
    said = storm("recipe=sum", f"{setting}='{tmp_path}/a=b ü'")
    assert said.code == 0, said.err
    assert (tmp_path / "a=b ü").is_dir()
    assert storm("recipe=sum", f"{setting}='{tmp_path}/a=b ü'").out.count("everything was kept")


def test_a_list_without_an_end_is_no_text(storm):
    said = storm("recipe=sum", "source=settled", "source.parts=[1,2")
    assert "cannot read the override `source.parts=[1,2`" in said.err
    assert "for a text write 'source.parts=\"[1,2\"'" in said.err

"""Lines of pages that no other test runs: each is planned, or shown, as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from end_to_end.small import write_files
from storm_exp.testing import run

ROOT = Path(__file__).parents[2]
PAGES = ["evaluation", "inference", "training", "data", "function-calling", "sweeps"]
PAGES += ["contamination"]
PAGES += [f"recipes/{page.stem}" for page in sorted((ROOT / "docs/recipes").glob("[a-z]*.md"))]
ELSEWHERE = ("look", "env")
"""Verbs whose lines run in test_look.py and `make engines`."""


MARKS = {"sweep": [pytest.mark.slow]}


def commands() -> list[object]:
    """Return the lines of all pages, those that go on in the next line as one."""
    found: list[str] = []
    for page in PAGES:
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8").replace("\\\n", "")
        found += re.findall(r"^(?:    )?(?:python -m storm_exp|storm-exp) (.*)$", text, re.M)
    lines = [command for command in found if not command.startswith(ELSEWHERE)]
    return [pytest.param(line, marks=MARKS.get(line.partition("=")[0], [])) for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models and data that the lines name."""
    place = tmp_path_factory.mktemp("pages")
    write_files(place)
    template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    (place / "mine.jinja").write_text(template, encoding="utf-8")
    return place


@pytest.mark.parametrize("command", commands())
def test_a_line_of_a_page_is_planned(command: str, folder: Path) -> None:
    words = shlex.split(command, comments=True)
    given = {"recipe=…": "recipe=smoke", "base_model.path=…": "base_model.path=MODEL"}
    given |= {"dataset.path=…": "dataset.path=CHATS.jsonl"}
    words = [given.get(word, word).replace("HOST:PORT,…", "127.0.0.1:8000") for word in words]
    if any(word.startswith(("runtime.devices=", "inference=")) for word in words):
        words.append("runtime.accelerator=h100")  # another machine, with what this one lacks
    verb = [] if words[0] in ("plan", "show") else ["plan"]
    result = run(folder, *verb, *words)
    assert result.code == 0, result.err

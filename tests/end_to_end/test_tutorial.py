"""The tutorial (docs/getting-started.md), and docs/how-it-works.md, command by command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from end_to_end.small import quick_words, step
from end_to_end.workplace import Workplace
from storm_data.testing import make_chats
from storm_exp.testing import run
from storm_models.testing import make_model

PAGE = (Path(__file__).parents[2] / "docs/getting-started.md").read_text(encoding="utf-8")
HOW = (Path(__file__).parents[2] / "docs/how-it-works.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    storm-exp (.*)$", PAGE, re.M)


@pytest.mark.slow
def test_the_commands_of_the_tutorial_run_one_after_the_other(warm: Workplace) -> None:
    """`storm` stands for minutes, `smoke` is the same graph in seconds."""
    make_model(warm.folder / "MODEL")
    make_chats(warm.folder / "CHATS.jsonl")
    said: dict[str, str] = {}
    for command in COMMANDS:
        words = quick_words(command) if step(shlex.split(command)) else shlex.split(command)
        words = ["recipe=smoke" if word == "recipe=storm" else word for word in words]
        words += ["targets=[merger]"] if words[0] == "-m" else []
        words += ["--max-tokens", "4"] if words[0] == "chat" else []
        said[command] = warm.run(*words)
    assert "why merger: t: 0.5 → 0.3" in said["plan recipe=storm merger.t=0.3 --why"]
    sweep = said["-m recipe=storm merger.t=0.25,0.5,0.75"]
    assert "outputs/latest/cells/<cell>/<stage>" in sweep
    assert "  +| " in said["look CHATS.jsonl"]
    assert (
        "not rehearsed:"
        in said["rehearse recipe=sft base_model.path=MODEL dataset.path=CHATS.jsonl"]
    )
    assert "the loss counts" in said["look tokens"]
    assert said["report"].endswith("-sft/report.html\n")


def test_every_stage_of_storm_is_in_the_table(tmp_path: Path) -> None:
    rows = re.findall(r"^\| (`.*`) \|", PAGE, re.M)
    named = set(re.findall(r"`(\w+)`", " ".join(rows)))
    drawn = re.findall(r"^  [^\w\n]*● ?\W*(\w+)  ", run(tmp_path, "show", "recipe=storm").out, re.M)
    assert named == set(drawn) - {"partner_tokens"}


@pytest.mark.slow
def test_the_commands_of_how_it_works_show_what_it_says(warm: Workplace) -> None:
    commands = re.findall(r"^    storm-exp (.*)$", HOW, re.M)
    said = {command: warm.run(*shlex.split(command)) for command in commands}
    assert "why merger: t: 0.5 → 0.3" in said["plan recipe=smoke merger.t=0.3 --why"]
    assert "nothing to make" in said["recipe=smoke"]
    assert "3 cells" in said["plan -m recipe=smoke merger.t=0.25,0.5,0.75"]
    assert "best_mean_score" in said["runs show latest"]

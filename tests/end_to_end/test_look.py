"""The commands of the documentation that show data run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace
from storm_data.testing import make_chats

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = [
    command
    for page in ("data.md", "training.md")
    for command in re.findall(
        r"^    python -m storm_exp (look.*)$", (DOCS / page).read_text(encoding="utf-8"), re.M
    )
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_shows_data_runs(command: str, smoked: Workplace, tmp_path: Path) -> None:
    words = shlex.split(command, comments=True)
    if "CHATS.jsonl" in words:
        words[words.index("CHATS.jsonl")] = str(make_chats(tmp_path / "chats.jsonl", rows=30))
    if "--page" in words:
        words[-1] = str(tmp_path / words[-1])
    said = smoked.run(*words)
    if "--page" in words:
        assert Path(words[-1]).read_text(encoding="utf-8").startswith("<!doctype html>")
    elif "--dropped" not in words and "--search" not in words:
        assert " | " in said

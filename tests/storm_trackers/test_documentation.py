"""The commands of docs/trackers.md."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import pytest

from storm_exp import install_command

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "trackers.md"
COMMANDS = [
    shlex.split(line)[1:]
    for line in DOCUMENTATION.read_text(encoding="utf-8").splitlines()
    if line.startswith("    storm-exp ")
]


@pytest.mark.parametrize("words", [w for w in COMMANDS if "recipe=storm" in w], ids=" ".join)
def test_a_run_with_a_tracker_is_planned(storm, monkeypatch, words):
    monkeypatch.setattr("storm_trackers.section.find_spec", lambda name: True)
    planned = storm("plan", *words)
    assert planned.code == 0 and "finetuner" in planned.out


def test_a_finished_run_is_shown_to_the_tracker_of_the_command(storm, tmp_path):
    with contextlib.chdir(tmp_path):
        command = install_command("wandb")
    (words,) = (words for words in COMMANDS if words[0] == "track")
    storm("recipe=sum")
    shown = storm(*words)
    missing = f"needs wandb; {command}" in shown.error
    assert shown.out.startswith("wandb: ") or missing

"""Completion in a shell, by Hydra: what the tab key offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from storm_exp.testing import installed
from waiting import PATIENCE

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture
def complete(storm, monkeypatch):
    """Return a function that tells what is offered for a line."""

    def call(line):
        monkeypatch.setenv("COMP_LINE", line)
        said = storm("-sc", "query=bash")
        assert said.code == 0, said.err
        return said.out.split()

    return call


def test_recipes_presets_and_components_are_offered(complete):
    assert {"recipe=storm", "recipe=storm_8b"} <= set(complete("storm-exp recipe=sto"))
    offered = complete("storm-exp recipe=smoke merger=s")
    assert {"merger=slerp", "merger=slerp_by_layer", "merger=solar"} <= set(offered)


def test_settings_of_the_recipe_are_offered(complete):
    assert "merger.t=" in " ".join(complete("storm-exp recipe=smoke merger."))


@pytest.mark.parametrize("verb", ["plan", "rehearse", "plan -m", "plan --why", "show"])
def test_words_behind_a_verb_are_completed(complete, verb):
    assert "recipe=storm" in complete(f"storm-exp {verb} recipe=sto")
    assert "merger.t=" in " ".join(complete(f"storm-exp {verb} recipe=smoke merger."))


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize("program", [["storm-exp"], [sys.executable, "-m", "storm_exp"]])
def test_bash_takes_what_is_installed(tmp_path, program):
    """Both ways to call it install completion of the command `storm-exp`."""
    words = 'COMP_LINE="storm-exp recipe=smo" COMP_CWORD=1; hydra_bash_completion'
    script = f'eval "$({" ".join(program)} -sc install=bash)"; {words}; echo ${{COMPREPLY[*]}}'
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # noqa: PTH120
    said = subprocess.run(
        ["bash", "-c", f"{script}; complete -p storm-exp"],
        env={**os.environ, "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "recipe=smoke" in said.stdout.split()
    assert "-F hydra_bash_completion storm-exp" in said.stdout


def test_verbs_are_offered(complete):
    assert {"plan", "show", "runs", "recipe="} <= set(complete("storm-exp "))
    assert "show" in complete("storm-exp sh")
    assert "runtime=auto" in complete("storm-exp runtime=")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("storm-exp show sle", {"slerp", "slerp_by_layer", "recipe=smoke", "sweep=merge_weight"}),
        ("storm-exp schema sle", {"slerp", "all", "recipe=smoke"}),
        ("storm-exp list ", {"recipes", "components", "plugins"}),
        ("storm-exp list presets m", {"merger", "finetuner"}),
        ("storm-exp runs ", {"ls", "show", "rm"}),
        ("storm-exp store rm ", {"scratch", "failures"}),
        ("storm-exp env create ", {"vllm", "llama_cpp"}),
    ],
)
def test_what_stands_behind_a_verb_is_offered(complete, line, offered):
    found = set(complete(line))
    assert offered <= found
    assert "seed=" not in found


def test_runs_and_stages_of_the_latest_are_offered(complete, storm):
    with installed(TOYS):
        assert storm("recipe=sum", "name=mine").code == 0
        assert storm("recipe=sum").code == 0
    for line in ("storm-exp runs show ", "storm-exp store pin m", "storm-exp track "):
        assert {"latest", "mine"} <= set(complete(line)), line
    assert "wandb" in complete("storm-exp track latest ")
    assert {"adder", "source"} <= set(complete("storm-exp look "))
    assert complete("storm-exp chat ") == []  # none of them is a model


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_tab_key_of_a_real_bash(tmp_path):
    """Bash itself calls the function, as it does for the tab key."""
    script = f"""
import os, pty, sys, time, select
pid, fd = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
def talk(text, until):
    os.write(fd, text.encode())
    said, deadline = "", time.monotonic() + {PATIENCE}
    while until not in said and time.monotonic() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            said += os.read(fd, 65536).decode(errors="replace")
    return said
talk('PS1="> "; eval "$(storm-exp -sc install=bash)"; echo rea""dy\\n', "ready")
print(talk("storm-exp sho\\t", "show"))
print(talk(" slerp_by\\t", "layer"))
print(talk("\\x15storm-exp plan recipe=smo\\t", "smoke"))
talk("\\x15exit\\n", "exit")
"""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"  # noqa: PTH120
    said = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PATH": path, "TERM": "dumb"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "storm-exp show" in said
    assert "slerp_by_layer" in said
    assert "recipe=smoke" in said

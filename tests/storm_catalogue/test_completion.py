"""Completion in a shell, by Hydra: what the tab key offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest


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

"""Settings at the root: what cannot work is refused before anything runs, with its origin."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=-1", "seed=-1: must be a whole number from 0 to 4294967295"),
        ("seed=4294967296", "seed=4294967296: must be a whole number from 0 to 4294967295"),
        ("seed=1.5", "seed=1.5: must be a whole number"),
        ("seed=null", "seed=None: must be a whole number"),
        ("seed=true", "seed=True: must be a whole number"),
        ("runtime.threads=-5", "runtime.threads=-5: must be at least 0"),
        ("runtime.devices=0", "runtime.devices=0: must be at least 1"),
        ("outputs=''", "outputs='': must be a folder"),
        ("outputs=5", "outputs=5: must be a folder"),
        ("store.path=null", "store.path=None: must be a folder"),
    ],
)
def test_a_root_setting_that_cannot_work_is_refused_with_its_origin(storm, override, message):
    said = storm("plan", "recipe=sum", override)
    assert said.code == 1
    assert message in said.err
    assert f"(from the override `{override}`)" in said.err


def test_the_seed_of_a_stage_is_held_to_the_same_rule(storm):
    said = storm("plan", "recipe=sum", "source=drawn", "source.seed=-2")
    assert said.code == 1
    assert "source.seed=-2: must be a whole number from 0 to 4294967295" in said.err
    assert "(from the override `source.seed=-2`)" in said.err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("store.path=a,b", "store.path is a in one cell and b in another"),
        ("outputs=a,b", "outputs is a in one cell and b in another"),
        ("runtime.threads=1,2", "runtime.threads is 1 in one cell and 2 in another"),
    ],
)
def test_cells_that_differ_in_what_a_sweep_has_once_are_refused(storm, tmp_path, override, message):
    said = storm("-m", "recipe=sum", override)
    assert said.code == 1
    assert message in said.err
    assert "(from the override `" in said.err
    assert not list(tmp_path.glob("[ab]"))


@pytest.mark.parametrize(
    "override", ["chat.arguments={thinking: true}", "chat.arguments.thinking=true"]
)
def test_a_key_that_a_plugins_section_does_not_have_yet_is_told_how_to_be_added(storm, override):
    said = storm("plan", "recipe=sum", override)
    assert said.code == 1
    assert "(to add it, write `+chat.arguments.thinking=…`)" in said.err
    added = storm("plan", "recipe=sum", "+chat.arguments.thinking=true")
    assert added.code == 0, added.err
    unknown = storm("plan", "recipe=sum", "chat.templat=own")
    assert "did you mean 'template'" in unknown.err and "to add it" not in unknown.err

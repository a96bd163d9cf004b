"""Words that users of Hydra type: each works, or is answered with what to write instead."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--version"], "storm-exp 0.1.0, Hydra 1."),
        (["recipe=sum", "--cfg", "job"], "amount: 1.0"),
        (["recipe=sum", "-c", "job", "--package", "adder"], "amount: 1.0"),
        (["recipe=sum", "--cfg", "job", "--resolve"], "path: outputs/store"),
        (["recipe=sum", "--cfg", "hydra"], "launcher"),
        (["recipe=sum", "--info", "defaults"], "plus_ten"),
        (["recipe=sum", "--info"], "Config search path"),
        (["-i", "searchpath", "recipe=sum"], "testing/toys/conf"),
        (["--help"], "usage: storm-exp"),
        (["--help"], "storm-exp rehearse"),
        (["--help"], "storm-exp env"),
        (["rehearse", "--help"], "usage: storm-exp"),
        (["recipe=sum", "--help"], "usage: storm-exp"),
        (["plan", "-h"], "usage: storm-exp"),
        (["plan", "--multirun", "recipe=sum", "adder.amount=1,2"], "2 cells"),
        (["plan", "recipe=sum", "hydra.mode=MULTIRUN", "adder.amount=1,2"], "2 cells"),
        (["plan", "-m", "recipe=sum", "adder.amount=1,2", "hydra/sweeper=basic"], "2 cells"),
        (["plan", "-m", "recipe=sum", "adder.amount=range(0,1,0.25)"], "4 cells"),
        (["plan", "-m", "recipe=sum", "adder=glob(*,exclude=[fussy,slow])"], "cells"),
    ],
)
def test_a_word_of_hydras_works(storm, words, part):
    said = storm(*words)
    assert said.code == 0, said.err
    assert part in said.out


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["recipe=sum", "--config-name", "x"], ["--config-name x:", "-cd DIR recipe=NAME"]),
        (["recipe=sum", "-cn=x"], ["--config-name x:", "-cd DIR recipe=NAME"]),
        (["recipe=sum", "--config-path=/x"], ["--config-path /x:", "-cd DIR"]),
        (["recipe=sum", "-cd", "nowhere"], ["nowhere' not found"]),
        (["recipe=sum", "-cd"], ["-cd", "expected one argument"]),
        (["recipe=sum", "--cfg"], ["--cfg", "expected one argument"]),
        (["recipe=sum", "--cfg", "everything"], ["--cfg", "everything"]),
        (["recipe=sum", "--resolve"], ["--resolve goes with --cfg job"]),
        (["recipe=sum", "--cfg", "job", "-m"], ["only one of --run, -m, --cfg and --info"]),
        (["recipe=sum", "--hydra-help"], ["--hydra-help:", "-cd DIR"]),
        (["recipe=sum", "--mutlirun"], ["no flag '--mutlirun'; did you mean '--multirun'?"]),
        (["recipe=sum", "--onlin"], ["no flag '--onlin'; did you mean '--online'?"]),
        (["recipe=sum", "hydra.run.dir=x"], ["hydra.run.dir=x:", "outputs=DIR"]),
        (["recipe=sum", "hydra.sweep.dir=x"], ["hydra.sweep.dir=x:", "outputs=DIR"]),
        (["recipe=sum", "hydra.job.chdir=true"], ["hydra.job.chdir=true:", "outputs=DIR"]),
        (["-m", "recipe=sum", "hydra/sweeper=bayes"], ["hydra/sweeper=bayes: no such option"]),
        (["-m", "recipe=sum", "hydra/launcher=slurm"], ["hydra/launcher=slurm"]),
        (["-m", "recipe=sum", "adder=glob(no*)"], ["adder=glob(no*): no value comes of it"]),
        (["-m", "recipe=sum", "adder.amount=range(3,1)"], ["adder.amount=range(3,1): no value"]),
        (["-m", "recipe=sum", "seed=range(1,1000000000)"], ["999,999,999 cells", "at most 10,000"]),
        (["-m", "recipe=sum", "seed=interval(0,1)"], ["seed=interval(0,1)", "range(0,1,0.1)"]),
        (["recipe=sum", "source._target_=os.system"], ["source._target_"]),
        (["recipe=sum", "hydra.launcher._target_=os.system"], ["_target_", "import paths"]),
        (["recipe=sum", "adder=null"], ["adder=null:", "write graph.adder=null"]),
        (["recipe=sum", "adder@other=null"], ["adder@other=null:", "write graph.other=null"]),
        (["recipe=sum", "runtime=4"], ["runtime=4:", "runtime.threads=4"]),
        (["recipe=null"], ["recipe=null:", "recipe=NAME"]),
        (["recipe=sum", "store=/path"], ["store=/path", "store.path=DIR", "`store=/path`"]),
        (["recipe=sum", f"targets=[{'a,' * 15000}a]"], ["characters are too many", "-cd DIR"]),
        (["recipe=sum", f"targets={'[' * 50}{']' * 50}"], ["targets=[", "more than 40 deep"]),
    ],
)
def test_a_word_that_cannot_work_is_answered_with_what_does(storm, words, parts):
    said = storm("plan", *words)
    assert said.code == 1
    assert said.err.startswith("error: ")
    for part in parts:
        assert part in said.err


def test_why_belongs_to_plan(storm):
    said = storm("recipe=sum", "--why")
    assert said.code == 1
    assert "--why goes with the verb plan: storm-exp plan" in said.err

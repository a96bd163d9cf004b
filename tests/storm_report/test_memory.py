"""The memory of a stage is that of its own: none that earlier stages left, and its programs'."""

from __future__ import annotations

import importlib
import subprocess
import sys

from storm_exp.testing import installed, run

MB = 1 << 20
STAGES = """
import subprocess
import sys

from storm_exp import Artifact, StageContext, component, hookimpl, setting

storm_api = ">=1,<2"
PROGRAM = "import sys, time; kept = b'x' * (int(sys.argv[1]) << 20); time.sleep(0.8)"


class Meal(Artifact):
    pass


@component("eater", "eater", version=1)
class Eater:
    here: int = setting(0, at_least=0)
    in_a_program: int = setting(0, at_least=0)

    def run(self, stage: StageContext, after: Meal | None = None) -> Meal:
        eaten = [["x" * (1000 + number % 2)] for number in range(self.here * 900)]
        eaten.append(eaten)  # which only a collector of garbage sees through
        if self.in_a_program:
            subprocess.run([sys.executable, "-c", PROGRAM, str(self.in_a_program)], check=True)
        (stage.directory / "plate.txt").write_text("empty")
        return Meal(stage.directory)


@hookimpl
def storm_components():
    return [Eater]
"""
RECIPE = """# @package _global_
defaults: [/eater@large: eater, /eater@small: eater, /eater@host: eater]
graph:
  large: {}
  small: {after: large}
  host: {after: small}
targets: [host]
large: {here: 300}
host: {in_a_program: 150}
"""


def test_a_stage_has_the_memory_that_it_took_itself(tmp_path, monkeypatch):
    (tmp_path / "eaters.py").write_text(STAGES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    recipe = tmp_path / "mine/recipe/meals.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(RECIPE, encoding="utf-8")
    kept = [sys.executable, "-c", "kept = b'x' * (300 << 20); print(flush=True); input()"]
    with (
        installed(importlib.import_module("eaters")),
        subprocess.Popen(kept, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as earlier,
    ):
        assert earlier.stdout
        earlier.stdout.readline()  # its memory is taken, and it runs on
        result = run(tmp_path, "-cd", "mine", "recipe=meals")
        earlier.communicate(b"\n")
    assert result.code == 0, result.err
    large, small, host = (result.stage(name).peak_memory for name in ("large", "small", "host"))
    assert large and small and host
    assert large - small > 200 * MB
    assert 130 * MB < host - small < 250 * MB

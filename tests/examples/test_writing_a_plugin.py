"""docs/writing-a-plugin.md: followed to the letter in an empty folder, it gives the example."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/storm-exp-trimmed-mean"
PAGE = (ROOT / "docs/writing-a-plugin.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.M | re.S)
HEAD = re.compile(r"(# @package \S+\n)?# (\S+?)(: in part)?\n")
"""First lines of a block: the package of a preset, which Hydra reads in the first alone, and the
file's name."""
WHOLE: dict[str, str] = {}
"""Files that the page gives in full, by their path in the plugin's folder."""
PARTS: list[tuple[str, str]] = []
"""(path in this repository, lines of that file)"""
COMMANDS: list[str] = []
for kind, body in BLOCKS:
    head = HEAD.match(body)
    if kind == "console":
        COMMANDS += body.splitlines()
    elif head and head[3]:
        PARTS.append((head[2], body[head.end() :]))
    elif head:
        WHOLE[head[2]] = (head[1] or "") + body[head.end() :]
PROGRAMS = {
    "storm-exp": [sys.executable, "-m", "storm_exp"],
    "python": [sys.executable],
    "pytest": [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
}
OFFLINE = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", "site"]


def test_every_block_of_the_page_is_a_file_a_part_of_one_or_commands():
    assert {kind for kind, _ in BLOCKS} == {"toml", "python", "yaml", "console"}
    assert len(WHOLE) + len(PARTS) == sum(kind != "console" for kind, _ in BLOCKS)
    assert PAGE.count("```") == 2 * len(BLOCKS)
    assert PARTS


def test_the_files_of_the_page_are_those_of_the_example():
    files = {
        str(file.relative_to(EXAMPLE)): file.read_text(encoding="utf-8")
        for file in EXAMPLE.rglob("*")
        if file.suffix in (".py", ".toml", ".yaml")
    }
    assert files == WHOLE


@pytest.mark.parametrize(("name", "part"), PARTS, ids=[name for name, _ in PARTS])
def test_a_part_of_a_file_stands_there(name, part):
    def bare(text: str) -> str:
        return "\n".join(line.strip() for line in text.splitlines())

    assert bare(part).strip() in bare((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Follow the page in an empty folder; return what each command printed."""
    folder = tmp_path_factory.mktemp("page") / "storm-exp-trimmed-mean"
    for name, text in WHOLE.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    path = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    printed = {}
    for command in COMMANDS:
        words = shlex.split(command)
        if words == ["pip", "install", "--editable", "."]:  # here: into a folder, offline
            words = [sys.executable, "-m", "pip", "install", *OFFLINE, "."]
        else:
            words[:1] = PROGRAMS[words[0]]
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        printed[command] = done.stdout
    return printed


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_command_of_the_page_does_what_the_page_says(walked):
    words = {command.split()[0] for command in COMMANDS}
    assert words == {"pip", "storm-exp", "python", "pytest"}
    described = next(out for command, out in walked.items() if "show" in command)
    assert "trimmed_mean(models: list[Checkpoint]) → Checkpoint" in described
    assert "trim: float = 0.25  (between 0 and 0.5)" in described
    assert "most: int | None = None  (tensors, at least 1)" in described
    assert re.fullmatch(r"drift: [\d.]+\n", walked["storm-exp drift"])
    swept = next(out for command, out in walked.items() if " -m recipe" in command)
    assert re.search(r"merger\.trim +drift\n +0 +[\d.]+\n +0\.5 +[\d.]+\n", swept)
    assert "made 2 artifacts" in swept  # the mean and its drift
    assert "6 passed" in walked["pytest"]

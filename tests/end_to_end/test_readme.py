"""Every command of the README and of docs/command-line.md runs."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from end_to_end.small import quick_words, step
from end_to_end.workplace import Workplace
from storm_data.testing import make_chats
from storm_models.testing import make_model

ROOT = Path(__file__).parents[2]
COMMANDS = [
    command
    for page in ("README.md", "docs/command-line.md")
    for command in re.findall(
        r"^    python -m storm_exp (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.M
    )
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(command: str, warm: Workplace) -> None:
    """`storm` stands for minutes; `smoke` is the same graph in seconds."""
    words = shlex.split(command, comments=True)
    words = ["recipe=smoke" if word == "recipe=storm" else word for word in words]
    if step(words):
        words = quick_words(command)
    made = {
        "MODEL": lambda: str(make_model(warm.folder / "model")),
        "A": lambda: str(make_model(warm.folder / "a")),
        "B": lambda: str(make_model(warm.folder / "b", seed=1)),
        "CHATS.jsonl": lambda: str(make_chats(warm.folder / "chats.jsonl")),
    }
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if value in made:
            words[number] = name + equals + made[value]()
    if "storm_own" in command:
        words += ["finetuner.steps=2", "partner.steps=2", "curator.min_education=1"]
        words += ["curator.difficulties=[easy,medium,hard]"]
    if "-m" in words and "plan" not in words:
        words.append("targets=[merger]")
    if words[0] == "report":
        warm.run("recipe=smoke")
    assert warm.run(*words)


@pytest.mark.parametrize("target", ["run", "test", "slow", "lint", "site", "study", "bench"])
def test_a_make_target_that_is_named_exists(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, re.M)


def test_make_bench_asks_for_vllm_only_when_its_figures_come() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    first, steps = re.findall(r"^bench: (.*)\n((?:\t.*\n)+)", makefile, re.M)[0]
    assert "vllm" not in first
    assert steps.index("training.py") < steps.index("$(MAKE) vllm") < steps.index("judging.py")


def test_make_run_shows_what_pip_does_and_says_what_to_type_next(tmp_path: Path) -> None:
    words = ["make", "--dry-run", "run", f"VENV={tmp_path / 'env'}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    (installing,) = [line for line in done.stdout.splitlines() if "pip install" in line]
    assert "--quiet" not in installing
    _, _, after = done.stdout.partition("-m storm_exp recipe=storm\n")
    for word in (f"source {tmp_path / 'env/bin/activate'}", "recipe=sft", "storm-exp new"):
        assert word in after


def test_what_make_test_leaves_out_runs_in_ci() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    chosen = re.findall(r"^\t\$\(PYTEST\) -m (.*)$", makefile, re.M)
    assert chosen == [
        '"not slow and not engines"',
        '"slow and not engines"',
        "engines --dist loadgroup",
    ]
    steps = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert {"make test", "make slow", "make engines", "make site"} <= set(steps)


def test_links_of_the_documentation_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"

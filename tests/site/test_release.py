"""What a release is made of: the version, the files of a container."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import storm_exp

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTAINER = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ADMITTED = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.M)


def test_the_changelog_begins_with_this_version() -> None:
    titles = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert re.fullmatch(
        rf"{re.escape(storm_exp.__version__)}, (unreleased|\d{{4}}-\d\d-\d\d)", titles[0]
    )
    assert all(re.fullmatch(r"[\d.]+, \d{4}-\d\d-\d\d", title) for title in titles[1:])


def test_a_container_installs_as_the_readme_says() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"^    (pip install -c .*)$", readme, re.M)
    (done,) = re.findall(r"&& (pip install .*)$", CONTAINER, re.M)
    default = dict(re.findall(r"^ARG (\w+)=(.*)$", CONTAINER, re.M))
    words = shlex.split(done.replace("$EXTRAS", default["EXTRAS"]))
    for option in ("--no-cache-dir", "--extra-index-url", "$TORCH_INDEX"):
        words.remove(option)
    assert words == shlex.split(told)
    assert default["TORCH_INDEX"].endswith("/cpu")
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert re.search(rf"^FROM \S+/python:{re.escape(oldest)}-slim$", CONTAINER, re.M)


def test_a_container_runs_as_a_user_without_privileges() -> None:
    instructions = re.findall(r"^(USER|RUN|ENTRYPOINT) (.*)$", CONTAINER, re.M)
    names = [name for name, _ in instructions]
    assert names.index("USER") > max(n for n, name in enumerate(names) if name == "RUN")
    user = dict(instructions)["USER"]
    assert user != "root"
    assert re.search(rf"useradd .*\b{user}\b", CONTAINER)
    assert dict(instructions)["ENTRYPOINT"] == '["storm-exp"]'
    assert set(PROJECT["project"]["scripts"]) == {"storm-exp"}


def test_a_container_gets_every_file_of_an_installation() -> None:
    built = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*built["packages"], *built["force-include"], *PROJECT["project"]["license-files"]]
    needed += [PROJECT["project"]["readme"], PROJECT["tool"]["hatch"]["version"]["path"]]
    needed += ["pyproject.toml", "constraints.txt"]
    assert {name.partition("/")[0] for name in needed} == set(ADMITTED)
    assert all((ROOT / name).exists() for name in ADMITTED)

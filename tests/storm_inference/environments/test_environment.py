"""Environments are created by pip, and usable only if they are complete."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from storm_exp import InputError
from storm_inference.environments import verb
from storm_inference.environments.building import create
from storm_inference.environments.environment import FOLDER, STAMP, Environment

MODULE = "import sys\nVALUE = 7\n"


def make_wheel(folder: Path, version: str = "1.0") -> None:
    """Write the wheel of a distribution `toy-engine` with one module and a missing dependency."""
    files = {
        "toy_engine.py": MODULE,
        f"toy_engine-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: toy-engine\nVersion: {version}\n"
            "Requires-Dist: nowhere-to-be-had\n"
        ),
        f"toy_engine-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = ""
    for name, text in files.items():
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(text.encode())}\n"
    folder.mkdir(exist_ok=True)
    record_name = f"toy_engine-{version}.dist-info/RECORD"
    with zipfile.ZipFile(folder / f"toy_engine-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in {**files, record_name: f"{record}{record_name},,\n"}.items():
            wheel.writestr(name, text)


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment of one package, from a folder of wheels."""
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path / "wheels", version)
    monkeypatch.setenv(FOLDER, str(tmp_path / "environments"))
    monkeypatch.setenv("PIP_OPTIONS", f"--no-index --find-links '{tmp_path / 'wheels'}'")
    requirements = tmp_path / "toy.txt"
    requirements.write_text("# an engine\ntoy-engine==1.0\n", encoding="utf-8")
    return Environment(
        name="toy", purpose="tests", requirements=requirements, imports=("toy_engine",)
    )


def test_an_environment_is_created_once_and_runs_its_programs(toy: Environment) -> None:
    assert toy.problem() == "does not exist"
    assert create(toy)
    assert not create(toy)
    code = "import toy_engine; print(toy_engine.VALUE)"
    said = subprocess.run([toy.python(), "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "7\n"


def test_an_environment_with_other_requirements_is_created_again(toy: Environment) -> None:
    create(toy)
    toy.requirements.write_text("toy-engine==2.0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"requirements other than .*: storm-exp env create toy"):
        toy.python()
    assert create(toy)
    assert toy.problem() == ""


def test_a_package_of_another_version_is_detected(toy: Environment) -> None:
    create(toy)
    pip = [sys.executable, "-m", "pip", "--python", str(toy.python()), "install", "--quiet"]
    wheels = toy.requirements.parent / "wheels"
    subprocess.run(
        [*pip, "--no-deps", "--no-index", "--find-links", wheels, "toy-engine==2.0"], check=True
    )
    assert toy.problem() == "should have toy-engine 1.0, and has 2.0"


def test_an_environment_whose_packages_cannot_be_found_is_incomplete(toy: Environment) -> None:
    toy.requirements.write_text("toy-engine==3.0\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"(?s)ended with 1 .*toy-engine==3\.0"):
        create(toy)
    assert toy.problem() == "is incomplete"


def test_an_environment_whose_imports_fail_is_incomplete(toy: Environment) -> None:
    broken = Environment(
        name="broken", purpose="tests", requirements=toy.requirements, imports=("toy_engines",)
    )
    with pytest.raises(InputError, match=r"(?s)ended with 1 .*No module named 'toy_engines'"):
        create(broken)
    assert broken.problem() == "is incomplete"


def test_a_killed_creation_ends_its_programs_and_is_started_again(toy: Environment) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from storm_inference.environments import building\n"
        "from storm_inference.environments.environment import Environment\n"
        "e = Environment(name='toy', purpose='', requirements=Path(sys.argv[1]),"
        " imports=('toy_engine',))\n"
        "building.create(e)"
    )
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", code, str(toy.requirements)]
    with subprocess.Popen(words, env=surroundings) as process:
        while not (toy.folder / "bin").is_dir():
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert toy.problem() == "is incomplete"
    assert create(toy)
    assert json.loads((toy.folder / STAMP).read_text())["requirements"] == toy.digest()


def test_the_verb_lists_environments_and_refuses_unknown_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert verb.env(["ls"]) == 0
    said = capsys.readouterr().out
    assert "vllm" in said and "does not exist: storm-exp env create vllm" in said
    with pytest.raises(InputError, match=r"no environment 'vlm'.*did you mean 'vllm'"):
        verb.env(["create", "vlm"])
    with pytest.raises(InputError, match=r"env delete: usage: "):
        verb.env(["delete"])


def test_a_folder_of_a_modules_name_does_not_stand_for_its_extra(
    toy: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout of vLLM in the working directory is a folder `vllm`, which `python -m` can see."""
    (tmp_path / "place/toy_engine").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "place")
    with_extra = dataclasses.replace(toy, extra="toy")
    assert not with_extra.is_here() and with_extra.problem() == "does not exist"
    (tmp_path / "place/toy_engine/__init__.py").touch()
    importlib.invalidate_caches()
    assert with_extra.is_here()

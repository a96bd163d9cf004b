"""Settings of engines: for all stages, for one, in keys and in plans."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from storm_curation.judge.zero_shot import ZeroShot
from storm_exp import SettingError
from storm_inference.answers import Answers
from storm_inference.engines.settings import InferenceSection, Serving
from storm_inference.environments.vllm import vllm


def plan(folder: Path, *words: str, code: int = 0, **variables: str) -> str:
    return run("plan", folder, *words, code=code, **variables)


def run(verb: str, folder: Path, *words: str, code: int = 0, **variables: str) -> str:
    command = [sys.executable, "-m", "storm_exp", verb, f"outputs={folder}", *words]
    surroundings = {**os.environ, "STORM_EXP_ENVIRONMENTS": str(folder / "none"), **variables}
    said = subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)
    assert said.returncode == code, said.stderr
    return said.stdout + said.stderr


def keys(said: str) -> dict[str, str]:
    rows = [line.split() for line in said.splitlines() if "to make" in line]
    return {row[0]: row[2] for row in rows}


def test_a_missing_environment_is_refused_with_the_command_that_creates_it(tmp_path: Path) -> None:
    said = plan(tmp_path, "recipe=smoke", "judge.inference=vllm", code=1)
    assert "judge.inference=" in said and "storm-exp env create vllm" in said
    assert "override `judge.inference=vllm`" in said


def test_an_environment_of_another_version_is_refused_with_the_plan(tmp_path: Path) -> None:
    environment = vllm()
    folder = tmp_path / "none" / environment.folder.name
    packages = folder / "lib/python3.11/site-packages"
    ((engine, version),) = (pin for pin in environment.pins().items() if pin[0].startswith("vllm"))
    for name, pinned in environment.pins().items():
        found = "0.31.0" if name == engine else pinned
        (packages / f"{name.replace('-', '_')}-{found}.dist-info").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin/python").touch()
    stamp = folder / "storm-exp.json"
    stamp.write_text(json.dumps({"requirements": environment.digest()}))
    said = plan(tmp_path, "recipe=smoke", "judge.inference=vllm", code=1)
    assert f"should have {engine} {version}, and has 0.31.0" in said
    assert "judge.inference='vllm'" in said and "storm-exp env create vllm" in said
    stamp.write_text(json.dumps({"requirements": "those of last year"}))
    said = plan(tmp_path, "recipe=smoke", "judge.inference=vllm", code=1)
    assert "created from requirements other than those of this storm-exp" in said


@pytest.mark.slow
def test_one_override_changes_the_engine_of_all_stages_that_use_one(tmp_path: Path) -> None:
    elsewhere = ("recipe=smoke", "runtime.accelerator=h100", "runtime.devices=8")
    own, theirs = (plan(tmp_path, *elsewhere, *more) for more in ((), ("inference=vllm",)))
    assert "inference by vllm: judge, evaluator" in theirs
    assert "inference by" not in own
    before, after = keys(own), keys(theirs)
    assert before["judge"] != after["judge"] and before["base_model"] == after["base_model"]
    moved = plan(tmp_path, *elsewhere, "inference=vllm", "inference.port=8000")
    assert keys(moved) == after
    quantised = plan(tmp_path, *elsewhere, "inference=vllm", "inference.quantisation=fp8")
    assert keys(quantised)["judge"] != after["judge"]


def test_a_full_size_plan_shows_the_engine_and_the_hours(tmp_path: Path) -> None:
    words = ("recipe=storm_8b", "inference=vllm", "runtime.accelerator=h100", "runtime.devices=8")
    said = plan(tmp_path, *words)
    assert "inference by vllm: judge, evaluator" in said
    assert "hours of wall time, one stage after another: judge and finetuner" in said
    # The machine that runs it needs vLLM, which is said once and refuses nothing.
    assert said.count("storm-exp env create vllm (judge, evaluator)") == 1


@pytest.mark.parametrize(
    ("recipe", "stages"),
    [
        ("storm_8b", "judge and finetuner and evaluator on all 8 devices"),
        ("birbal_7b", "attempts and finetuner on all 8 devices"),
    ],
)
def test_transformers_uses_all_devices(tmp_path: Path, recipe: str, stages: str) -> None:
    said = plan(tmp_path, f"recipe={recipe}", "runtime.accelerator=h100", "runtime.devices=8")
    assert f"hours of wall time, one stage after another: {stages}" in said


@pytest.mark.slow
def test_a_rehearsal_replaces_an_engine_that_is_not_on_this_machine(tmp_path: Path) -> None:
    words = ("recipe=smoke", "targets=[judge]")
    said = run("rehearse", tmp_path, *words, "inference=vllm")
    assert "judge (zero_shot): inference vllm → transformers" in said
    assert "rehearsal passed" in said
    replaced = "inference=vllm (its environment does not exist: storm-exp env create vllm)"
    assert f"not rehearsed:\n  {replaced}: transformers answers in its place" in said
    # A server that is running has the real model, and is not asked.
    said = run(
        "rehearse", tmp_path, *words, "inference=server", "inference.urls=[http://0.0.0.0:9]"
    )
    assert "judge (zero_shot): inference server → transformers" in said
    assert "rehearsal passed" in said


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://host:1", "http://", "http://h:99999", "http://[h", "http://h?a"],
)
def test_what_is_no_address_of_a_server_is_refused_with_the_plan(url: str) -> None:
    with pytest.raises(SettingError, match=r"urls=.*should be the address of a server: http://"):
        InferenceSection(engine="server", urls=["http://good:1/v1", url])
    with pytest.raises(SettingError, match=r"serving\.urls=.*should be the address of a server"):
        ZeroShot(inference="server", serving=Serving(urls=[url]))


@pytest.mark.parametrize("again", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_a_server_that_is_listed_twice_is_refused(again: str) -> None:
    with pytest.raises(SettingError, match="is listed twice"):
        InferenceSection(engine="server", urls=["http://h:1", again])


@pytest.mark.slow
def test_a_key_that_a_pool_needs_is_looked_for_with_the_plan(tmp_path: Path) -> None:
    words = ("recipe=smoke", "inference=server", "inference.urls=[http://127.0.0.1:9]")
    own = keys(plan(tmp_path, *words))
    named = (*words, "inference.api_key_variable=STORM_TEST_KEY")
    said = plan(tmp_path, *named, code=1)
    assert "the environment variable STORM_TEST_KEY is not set" in said
    assert "inference.api_key_variable=" in said
    said = plan(tmp_path, *named, "runtime.accelerator=h100")
    assert said.count("the environment variable STORM_TEST_KEY has no key on this machine") == 1
    said = plan(tmp_path, *named, STORM_TEST_KEY="sk-stand-in")
    assert keys(said) == own and "sk-stand-in" not in said
    said = plan(tmp_path, *named, code=1, STORM_TEST_KEY="two\nlines")
    assert "has other letters than a key's" in said and "lines" not in said


def test_a_key_in_the_place_of_its_variable_is_refused() -> None:
    for key in ("sk-abc", "$KEY", "a b"):
        with pytest.raises(SettingError, match="the name of an environment variable") as raised:
            InferenceSection(api_key_variable=key)
        assert key not in str(raised.value)


def test_ports_of_all_devices_are_checked_with_the_plan(tmp_path: Path) -> None:
    words = ("recipe=smoke", "inference=vllm", "runtime.accelerator=h100", "runtime.devices=8")
    said = plan(tmp_path, *words, "inference.port=65530", code=1)
    assert "inference.port=65530" in said
    assert "the last of 8 servers, one on each device, would have port 65537" in said
    plan(tmp_path, *words, "inference.port=65528")


def test_invalid_settings_are_named() -> None:
    with pytest.raises(SettingError, match="must list a server"):
        ZeroShot(inference="server", serving=Serving(urls=[]))
    with pytest.raises(SettingError, match="inference='vlm': must be one of"):
        Answers(inference="vlm", seed=0)
    with pytest.raises(SettingError, match="quantisation='fp8': is used by the engines"):
        InferenceSection(quantisation="fp8")
    with pytest.raises(SettingError, match="must list a server"):
        InferenceSection(engine="server")

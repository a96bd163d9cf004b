"""`chat` and `serve` with the engines themselves: each answers as transformers does."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from end_to_end.workplace import STORM, Workplace
from forked import ENVIRONMENT
from storm_exp.testing import make_stage, run_component
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.formats import GgufType
from storm_models.checkpoint.checkpoint import Checkpoint

PAGE = (Path(__file__).parents[2] / "docs/using-a-model.md").read_text(encoding="utf-8")
SERVED = re.findall(r"^    python -m storm_exp (serve .*)$", PAGE, re.M)
QUESTION = "Biggest: 70 51"


@pytest.fixture(scope="module")
def gguf(judged: Workplace, base_model: Path) -> Path:
    """The base model as GGUF, under the name that the page uses."""
    stage = make_stage(judged.folder, "gguf")
    written = run_component(Gguf(types=[GgufType("f32")]), stage, Checkpoint(base_model))
    return Path(written.directory)


@pytest.fixture(scope="module")
def answer(judged: Workplace) -> str:
    """What transformers answers."""
    return judged.run("chat", "base_model", "--say", QUESTION)


@contextmanager
def served(place: Workplace, *words: str) -> Iterator[tuple[str, str, str]]:
    """Run `serve` as a user does; yields address, model name and curl line, then ends it."""
    process = subprocess.Popen(
        [*STORM, *words],
        cwd=place.folder,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = [process.stdout.readline() for _ in range(3)]
        found = re.match(r"(http://\S+)/v1 serves the model '(.*)'", said[1])
        assert found, "".join(said) + process.stdout.read()
        children = descendants(process.pid)
        assert children
        yield found[1], found[2], said[2]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, process.stdout.read()
        assert not [child for child in children if Path(f"/proc/{child}").exists()]
    finally:
        process.kill()
        process.stdout.close()


def descendants(parent: int) -> list[int]:
    """Return the processes below one."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            above = int(file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if above == parent:
            child = int(file.parent.name)
            found += [child, *descendants(child)]
    return found


def ask(address: str, name: str) -> str:
    """Return the answer of a chat completion."""
    body = {
        "model": name,
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_tokens": 64,
    }
    reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=120)
    reply.raise_for_status()
    return str(reply.json()["choices"][0]["message"]["content"])


def curl(line: str) -> str:
    """Return the answer to the command that was printed."""
    done = subprocess.run([*shlex.split(line), "-s"], capture_output=True, text=True, check=True)
    return str(json.loads(done.stdout)["choices"][0]["message"]["content"])


def test_llama_cpp_answers_in_a_chat(judged: Workplace, gguf: Path, answer: str) -> None:
    assert judged.run("chat", str(gguf), "--say", QUESTION) == answer
    file = next(gguf.glob("*.gguf"))
    assert judged.run("chat", str(file), "--say", QUESTION, "--inference", "llama_cpp") == answer


def test_llama_cpp_is_not_sent_control_tokens(judged: Workplace, gguf: Path) -> None:
    tokenizer = Checkpoint(judged.folder / "outputs/latest/base_model").tokenizer()
    token = str(tokenizer.eos_token)
    said = judged.run("chat", str(gguf), "--say", f"70{token}51", code=1)
    assert f"not sent: its contents hold the control token {token}\n" in said


def test_llama_cpp_serves(judged: Workplace, gguf: Path, answer: str) -> None:
    (words,) = [shlex.split(command) for command in SERVED if " gguf" in command]
    words = [f"./{word}" if word == "gguf" else word for word in words]
    with served(judged, *words) as (address, name, line):
        assert name == "gguf"
        assert ask(address, name) == answer.removesuffix("\n")
        assert isinstance(curl(line), str)
        port = address.rpartition(":")[2]
        said = judged.run("serve", str(gguf), "--port", port, code=1)
        assert f"--port: port {port} cannot be used" in said


def test_a_file_that_llama_cpp_cannot_load_is_told_with_its_log(
    judged: Workplace, gguf: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(next(gguf.glob("*.gguf")).read_bytes()[:-5000])
    said = judged.run("serve", str(cut), "--port", "0", code=1)
    assert "llama.cpp did not start" in said
    (log,) = set(re.findall(r"\(log: (.*)\)", said))
    assert Path(log).is_file()


def test_vllm_serves_and_answers_in_a_chat(judged: Workplace, answer: str) -> None:
    (words,) = [shlex.split(command) for command in SERVED if command == "serve merger"]
    words = ["base_model" if word == "merger" else word for word in words]
    chat = judged.start("chat", "base_model", "--say", QUESTION, "--inference", "vllm")
    with served(judged, *words, "--port", "0", "--max-length", "256") as (address, name, line):
        assert name == "base_model"
        assert ask(address, name) == answer.removesuffix("\n")
        assert isinstance(curl(line), str)
    said, _ = chat.communicate()
    assert said == answer
    assert chat.returncode == 0

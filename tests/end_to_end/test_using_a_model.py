"""Models of a run are asked, and the commands of docs/using-a-model.md run."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from end_to_end.workplace import STORM, Workplace
from storm_inference.chat.prompts import Prompts
from storm_inference.engines.engine import Sampling
from storm_inference.engines.transformers_engine import TransformersEngine
from storm_inference.targets.memo_folder import MemoFolder
from storm_inference.targets.target import find_target
from storm_models.chat.conversation import Conversation
from storm_models.testing import make_checkpoint

PAGE = (Path(__file__).parents[2] / "docs/using-a-model.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python -m storm_exp (.*)$", PAGE, re.M)
EXPORTED = ("+exporter@hub=hub_folder", "+graph.hub={model: merger}")
QUESTION = "Biggest: 70 51"


@pytest.fixture(scope="module")
def exported(smoked: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace whose latest run ended in a hub folder."""
    place = Workplace(tmp_path_factory.mktemp("exported"))
    target = place.folder / "outputs"
    target.mkdir()
    subprocess.run(["cp", "-a", str(smoked.folder / "outputs/store"), str(target)], check=True)
    place.run("recipe=smoke", *EXPORTED)
    return place


def test_the_miniature_answers_as_it_does_when_a_stage_asks_it(
    exported: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.folder)
    said = exported.run("chat", "merger", "--say", QUESTION)
    assert re.fullmatch(r"\d\n", said)  # it has learnt to answer with a number
    model = find_target("merger").checkpoint()
    engine = TransformersEngine(model, dtype="auto", device="cpu", batch_size=1)
    prompts = Prompts(model)
    prompt = prompts.of(Conversation([{"role": "user", "content": QUESTION}]))
    (ids,) = engine.generate([prompt], Sampling(max_new_tokens=64))
    assert prompts.tokenizer.decode(ids, skip_special_tokens=True) == said.removesuffix("\n")


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.startswith("serve")])
def test_a_command_of_the_page_runs(command: str, exported: Workplace) -> None:
    assert exported.run(*shlex.split(command))


def test_a_server_whose_environment_is_missing_is_not_started(exported: Workplace) -> None:
    (served,) = [c for c in COMMANDS if c == "serve merger"]
    nowhere = str(exported.folder / "nowhere")
    said = exported.run(*shlex.split(served), code=1, STORM_EXP_ENVIRONMENTS=nowhere)
    assert "storm-exp env create vllm" in said


def test_a_model_is_found_by_its_key(exported: Workplace) -> None:
    (merger,) = [stage for stage in exported.stages() if stage["stage"] == "merger"]
    assert re.fullmatch(r"\d\n", exported.run("chat", merger["key"][:10], "--say", QUESTION))


def test_a_merge_that_is_stored_as_a_sum_gets_files_for_a_server(
    exported: Workplace, tmp_path: Path
) -> None:
    (merger,) = [stage for stage in exported.stages() if stage["stage"] == "merger"]
    target = find_target(merger["key"], exported.folder / "outputs/store")
    total = target.checkpoint()
    assert total.weighted_sum() is not None
    written = total.materialise(MemoFolder(tmp_path))
    assert written.weight_files()[0].is_relative_to(tmp_path)
    for name, tensor in total.tensors():
        assert tensor.equal(written.tensor(name))


def test_a_model_without_a_card_is_not_pushed(exported: Workplace) -> None:
    said = exported.run("push", "merger", "me/small", "--dry-run", code=1)
    assert "'merger' holds a model, not a folder for the hub" in said
    assert "of the latest run, hub can be pushed" in said


class Keyboard:
    """A command line on a terminal at which somebody types."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._screen, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*STORM, *words],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self.shown = ""

    def wait_for(self, text: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            self.read()

    def read(self) -> None:
        """Wait a second at most for what is shown next."""
        if select.select([self._screen], [], [], 1)[0]:
            self.shown += os.read(self._screen, 4096).decode(errors="replace")

    def interrupt(self, done: Callable[[], bool]) -> None:
        """Press Ctrl-C until it is done.

        input() looks for signals, and then waits for keys: one that comes in between is lost until
        the next key.
        """
        end = time.monotonic() + 120
        while not done():
            self.press("\x03")
            for _ in range(10):
                if not done():
                    with contextlib.suppress(OSError):  # the other end has closed the terminal
                        self.read()
            assert time.monotonic() < end, self.shown

    def press(self, keys: str) -> None:
        self.shown = ""
        os.write(self._screen, keys.encode())


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.slow
def test_a_chat_on_a_terminal(exported: Workplace) -> None:
    chat = Keyboard(exported.folder, "chat", "merger")
    chat.wait_for("> ")
    assert "\x1b[2m" in chat.shown and "Ctrl-D the chat" in chat.shown
    chat.press(f"{QUESTION}\r")
    chat.wait_for("\n> ")
    assert re.search(r"\n\d\r\n", chat.shown)
    chat.interrupt(lambda: "Ctrl-C again" in chat.shown)
    chat.interrupt(lambda: chat.process.poll() is not None)
    assert chat.process.wait() == 128 + signal.SIGINT


def never_stopping(folder: Path) -> Path:
    """Write a model whose next token is always "a"."""
    model = make_checkpoint(folder, max_position_embeddings=100_000, num_hidden_layers=1)
    network = model.load("float32")
    with torch.no_grad():
        network.lm_head.weight.zero_()
        network.lm_head.weight[model.tokenizer().convert_tokens_to_ids("a")] = 1
        network.model.embed_tokens.weight.fill_(1)
        for block in network.model.layers:
            block.self_attn.o_proj.weight.zero_()
            block.mlp.down_proj.weight.zero_()
    network.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_ctrl_c_ends_an_answer_and_the_chat_goes_on(tmp_path: Path) -> None:
    model = never_stopping(tmp_path / "model")
    chat = Keyboard(tmp_path, "chat", str(model), "--max-tokens", "90000")
    chat.wait_for("> ")
    for _ in range(2):
        chat.press("hello\r")
        chat.wait_for("aaaaaaaaaa")
        chat.press("\x03")
        chat.wait_for("Ctrl-C again")
        chat.wait_for("> ")
    chat.press("\x04")
    assert chat.process.wait(30) == 0

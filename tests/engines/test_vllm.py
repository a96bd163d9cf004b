"""Stages with a real vLLM server: its results and its failures."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from end_to_end.workplace import Workplace
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_inference.engines.engine import Sampling
from storm_inference.engines.settings import AsksModel, Serving
from storm_inference.environments.vllm import vllm
from storm_inference.opening import open_engine
from storm_inference.servers.server import Server
from storm_inference.servers.vllm_server import Launch, Starting
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


def scores(place: Workplace) -> dict[str, list[object]]:
    (stage,) = (s for s in place.stages() if s["stage"] == "judge")
    store = place.folder / "outputs/store/artifacts"
    (file,) = store.glob(f"*/{stage['key']}/scores.parquet")
    found: dict[str, list[object]] = pq.read_table(file).to_pydict()
    return found


def processes_of(word: str) -> list[int]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if word in words and "vllm" in words:
            found.append(int(file.parent.name))
    return found


def command_of(number: int) -> str:
    return Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace")


def descendants(parent: int) -> list[int]:
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            above = int(file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if above == parent:
            number = int(file.parent.name)
            found += [number, *descendants(number)]
    return found


def asked(url: str) -> AsksModel:
    return AsksModel(inference="server", serving=Serving(urls=[url], patience_seconds=5.0))


def test_a_judge_has_the_label_probabilities_of_transformers(judged: Workplace) -> None:
    own = scores(judged)
    said = judged.run("recipe=smoke", "targets=[judge]", "inference=vllm")
    assert "judge: asks http://127.0.0.1:" in said and "vllm 0.32.0, float32" in said
    theirs = scores(judged)
    assert theirs["id"] == own["id"] and theirs["status"] == own["status"]
    numbers = [name for name in own if "_p_" in name or name.endswith(("_mass", "_expected"))]
    assert len(numbers) > 8
    for name in numbers:
        assert theirs[name] == pytest.approx(own[name], abs=1e-4), name
    (stage,) = (s for s in judged.stages() if s["stage"] == "judge")
    # A block of the CPU build's prefix cache has 128 tokens, more than these prompts.
    assert stage["metrics"]["prefix_hit_rate"] == 0
    assert stage["metrics"]["prompt_tokens"] > 0
    assert list((judged.folder / "outputs/latest").glob("vllm-judge-0.log"))
    assert not processes_of(str(judged.folder))
    judged.run("recipe=smoke", "targets=[judge]")


def test_an_evaluation_that_generates_has_the_scores_of_transformers(
    judged: Workplace, server: Server
) -> None:
    words = ("recipe=smoke", "targets=[evaluator]", "graph.evaluator.model=[base_model]")
    judged.run(*words)
    (own,) = (s for s in judged.stages() if s["stage"] == "evaluator")
    judged.run(*words, "evaluator.inference=server", f"evaluator.serving.urls=[{server.url}]")
    (theirs,) = (s for s in judged.stages() if s["stage"] == "evaluator")
    assert theirs["key"] != own["key"] and theirs["status"] == "made"
    assert theirs["metrics"]["prompt_tokens"] > 0
    same = {name: value for name, value in own["metrics"].items() if name in theirs["metrics"]}
    assert {name: theirs["metrics"][name] for name in same} == pytest.approx(same, abs=1e-6)


def test_answers_are_the_tokens_that_transformers_generates(
    base_model: Path, server: Server, tmp_path: Path
) -> None:
    model, stage = Checkpoint(base_model), make_stage(tmp_path)
    ids = model.tokenizer()("what is two and three? say it.", add_special_tokens=False)["input_ids"]
    prompts = [ids[:length] for length in range(4, 20)]
    sampling = Sampling(max_new_tokens=12)
    found = []
    for settings in (asked(server.url), AsksModel(inference="transformers")):
        engine = open_engine(settings, stage, model, device="cpu")
        found.append([engine.generate([prompt], sampling)[0] for prompt in prompts])
        engine.close()
    assert found[0] == found[1]


def test_another_model_is_refused(server: Server, base_model: Path, tmp_path: Path) -> None:
    other = make_checkpoint(tmp_path / "other", dtype="float32")
    with pytest.raises(InputError, match="serves another model: its token ids differ"):
        open_engine(asked(server.url), make_stage(tmp_path), other, device="cpu")
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(base_model)
    for parameter in network.parameters():
        parameter.data *= 1.05
    network.save_pretrained(tmp_path / "sibling")
    Checkpoint(base_model).copy_companions(tmp_path / "sibling", but=("config.json",))
    sibling = Checkpoint(tmp_path / "sibling")
    with pytest.raises(InputError, match=r"its log-probabilities of a text differ by 0\.\d+"):
        open_engine(asked(server.url), make_stage(tmp_path, "b"), sibling, device="cpu")
    with pytest.raises(
        InputError, match="accepts at most 512 tokens, and this stage needs up to 600"
    ):
        open_engine(
            asked(server.url), make_stage(tmp_path, "c"), sibling, device="cpu", max_length=600
        )


def test_a_common_prefix_is_computed_once(server: Server, base_model: Path, tmp_path: Path) -> None:
    model, stage = Checkpoint(base_model), make_stage(tmp_path)
    rubric = [5 + number % 90 for number in range(300)]
    rows = [[[*rubric, row, 7], [*rubric, row, 8]] for row in range(5, 45)]
    found = []
    for settings in (asked(server.url), AsksModel(inference="transformers")):
        engine = open_engine(settings, stage, model, device="cpu", batch_size=8)
        found.append(np.array(engine.score_labels(rows, [[9, 10], [11, 12]])))
        figures = engine.figures()
        engine.close()
        if settings.inference == "server":
            assert figures["prompt_tokens"] == 80 * 302
            assert figures["prefix_hit_rate"] > 0.8 * 256 / 302
    assert np.abs(found[0] - found[1]).max() < 1e-4


def test_a_prompt_beyond_the_context_is_refused(
    server: Server, base_model: Path, tmp_path: Path
) -> None:
    engine = open_engine(
        asked(server.url), make_stage(tmp_path), Checkpoint(base_model), device="cpu"
    )
    with contextlib.closing(engine), pytest.raises(InputError, match=r"HTTP 400: .*512"):
        engine.score_labels([[[5] * 600]], [[6]])


def test_a_server_ends_with_the_process_that_started_it(base_model: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from storm_inference.environments.vllm import vllm\n"
        "from storm_inference.servers.vllm_server import Launch, Starting\n"
        "Starting(Launch(python=vllm().python(), model=Path(sys.argv[1]),"
        " log=Path(sys.argv[2]), dtype='float32')); time.sleep(600)"
    )
    model = tmp_path / "linked"
    model.symlink_to(base_model)
    words = [sys.executable, "-c", code, str(model), str(tmp_path / "vllm.log")]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, env=surroundings) as process:
        until = time.monotonic() + 120
        while len(processes_of(str(model))) < 3:  # this one, the guardian, and vLLM
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    until = time.monotonic() + 30
    while processes_of(str(model)):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_too_little_memory_is_reported_with_a_remedy(
    base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "100000")
    launch = Launch(
        python=vllm().python(), model=base_model, log=tmp_path / "vllm.log", dtype="float32"
    )
    with pytest.raises(InputError, match=r"(?s)did not start: .*lower inference\.memory"):
        Starting(launch).wait(900)


def test_a_server_that_is_killed_in_between_ends_the_scoring(
    base_model: Path, server: Server, tmp_path: Path
) -> None:
    """The last test with the shared server, which is killed here."""
    engine = open_engine(
        asked(server.url), make_stage(tmp_path), Checkpoint(base_model), device="cpu"
    )
    rows = [[[5, 6, 7 + number % 90]] for number in range(4)]
    assert len(engine.score_labels(rows, [[8, 9]])) == 4
    assert server.program is not None
    (core,) = (n for n in descendants(server.program.pid) if "EngineCore" in command_of(n))
    os.kill(core, signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(InputError, match=rf"no server is left: {server.url}"):
        engine.score_labels(rows * 400, [[8, 9]])
    assert time.monotonic() - started < 120
    engine.close()

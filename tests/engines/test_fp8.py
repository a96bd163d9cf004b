"""vLLM serves FP8: labels as transformers reads the same files, and near those of 16 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storm_data.sources.chat_jsonl import ChatJsonl
from storm_data.testing import make_chats
from storm_exp import InputError
from storm_exp.testing import make_stage, run_component
from storm_export.bf16 import Bf16
from storm_export.fp8_dynamic import Fp8Dynamic
from storm_export.fp8_static import Fp8Static
from storm_inference.engines.settings import AsksModel, Serving
from storm_inference.environments.vllm import vllm
from storm_inference.opening import open_engine
from storm_inference.servers.vllm_server import Launch, Starting
from storm_models.checkpoint.checkpoint import Checkpoint

QUESTIONS = 24
START_SECONDS = 900


@pytest.fixture(scope="module")
def sixteen_bits(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    stage = make_stage(tmp_path_factory.mktemp("bf16"))
    made: Checkpoint = run_component(Bf16(), stage, Checkpoint(base_model))
    return made


@pytest.fixture(scope="module")
def static(sixteen_bits: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("static")
    file = make_chats(folder / "chats.jsonl", rows=60, characters=80)
    chats = ChatJsonl(path=str(file)).run(make_stage(folder, "chats"))
    settings = Fp8Static(samples=40, seed=0)
    made: Checkpoint = run_component(settings, make_stage(folder), sixteen_bits, data=chats)
    return made


def labels(
    model: Checkpoint, folder: Path, name: str, settings: AsksModel, marks: str = "12345"
) -> np.ndarray:
    """Return the labels' log-probabilities after each question, by one engine."""
    tokenizer = model.tokenizer()

    def ids(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    rows = [[ids(f"what is {n} and {n % 7}? how hard is it? ")] for n in range(QUESTIONS)]
    engine = open_engine(settings, make_stage(folder, name), model, device="cpu", batch_size=8)
    found = engine.score_labels(rows, [[ids(mark)[-1] for mark in marks]])
    engine.close()
    return np.array(found)


def test_dynamic_eight_bits_are_served_as_transformers_reads_them(
    sixteen_bits: Checkpoint, tmp_path: Path
) -> None:
    eight = run_component(Fp8Dynamic(), make_stage(tmp_path), sixteen_bits)
    launch = Launch(
        python=vllm().python(),
        model=eight.directory,
        log=tmp_path / "vllm.log",
        dtype="bfloat16",
        requests=8,
    )
    server = Starting(launch).wait(START_SECONDS)
    try:
        asked = AsksModel(
            inference="server", serving=Serving(urls=[server.url], patience_seconds=5.0)
        )
        served = labels(eight, tmp_path, "served", asked)
    finally:
        server.close()
    own = AsksModel(inference="transformers")
    read = labels(eight, tmp_path, "read", own)
    whole = labels(sixteen_bits, tmp_path, "whole", own)
    assert np.abs(served - read).max() < 0.1
    assert 0 < np.abs(served - whole).max() < 0.3


def test_static_eight_bits_are_near_sixteen_in_transformers(
    sixteen_bits: Checkpoint, static: Checkpoint, tmp_path: Path
) -> None:
    own = AsksModel(inference="transformers")
    read = labels(static, tmp_path, "read", own)
    whole = labels(sixteen_bits, tmp_path, "whole", own)
    assert 0 < np.abs(read - whole).max() < 0.3


def test_static_eight_bits_are_refused_on_processors_before_a_server_starts(
    static: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"static.*compressor=fp8_dynamic"):
        labels(static, tmp_path, "refused", AsksModel(inference="vllm"))


def test_vllm_for_processors_still_lacks_the_kernel_of_static_eight_bits(
    static: Checkpoint, tmp_path: Path
) -> None:
    """Where this fails, a newer vLLM has it: the refusal can go."""
    log = tmp_path / "vllm.log"
    launch = Launch(
        python=vllm().python(), model=static.directory, log=log, dtype="bfloat16", requests=8
    )
    with pytest.raises(InputError, match="vLLM did not start"):
        Starting(launch).wait(START_SECONDS)
    missing = "static_scaled_fp8_quant() expected at most 0 argument(s) but received 4"
    assert missing in log.read_text()

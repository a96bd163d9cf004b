"""Stages with a real vLLM server: its results and its failures."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from end_to_end.workplace import Workplace
from storm_exp import InputError
from storm_exp.testing import make_stage
from storm_inference.engines.engine import Sampling
from storm_inference.engines.settings import AsksModel, Serving
from storm_inference.environments.vllm import vllm
from storm_inference.opening import open_engine
from storm_inference.servers.server import Server
from storm_inference.servers.starting import Starting
from storm_inference.servers.vllm_server import Launch
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_checkpoint


def asked(url: str) -> AsksModel:
    return AsksModel(inference="server", serving=Serving(urls=[url], patience_seconds=5.0))


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


def test_workers_compute_likelihoods_while_one_has_answers_generated(
    judged: Workplace, server: Server
) -> None:
    words = ["recipe=smoke", "targets=[evaluator]", "graph.evaluator.model=[base_model]"]
    words += ["evaluator.tasks=[tinyworld_lookup,tinyworld_loss]", "evaluator.batch_size=2"]
    judged.run(*words)
    (own,) = (s for s in judged.stages() if s["stage"] == "evaluator")
    words += ["evaluator.inference=server", f"evaluator.serving.urls=[{server.url}]"]
    said = judged.run(*words, "runtime.devices=2")
    assert said.count("uses http://") == 1, "one of the workers asks the server"
    (theirs,) = (s for s in judged.stages() if s["stage"] == "evaluator")
    assert theirs["metrics"]["prompt_tokens"] > 0
    assert theirs["metrics"]["score/tinyworld_loss"] == own["metrics"]["score/tinyworld_loss"]
    assert theirs["metrics"]["mean_score"] == pytest.approx(own["metrics"]["mean_score"])
    assert theirs["metrics"]["documents"] == own["metrics"]["documents"]


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


def test_too_little_memory_is_reported_with_a_remedy(
    base_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "100000")
    launch = Launch(
        python=vllm().python(), model=base_model, log=tmp_path / "vllm.log", dtype="float32"
    )
    with pytest.raises(InputError, match=r"(?s)did not start: .*lower inference\.memory"):
        Starting(launch).wait(900)

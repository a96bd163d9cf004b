"""Judging on one GPU: by our scorer, and by vLLM in several ways where it is there."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import torch

from gpu_part import Deadline, Measured
from judging import MAX_LENGTH, REQUESTS, long_chats, make_random_model, mean_tokens, open_scorer
from judging_rounds import describe, figures, furthest, take_turns
from judging_ways import ANSWER_TOKENS, prepare
from storm_exp import InputError
from storm_inference.environments.vllm import vllm
from storm_inference.servers.starting import Starting
from storm_inference.servers.vllm_server import Launch
from training_gpu_models import HALF_BILLION, TINY, describe_device

ROWS, ROUNDS = 256, 5


def judge(deadline: Deadline, *, miniature: bool) -> Measured:
    """Return rows per second and prefill tokens of every way, at 0.5 B parameters in bf16."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    missing = vllm().problem()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = HALF_BILLION | (TINY if miniature else {})
        model = make_random_model(folder / "model", config, torch.bfloat16)
        rows = prepare(model, long_chats(4 if miniature else ROWS), MAX_LENGTH)
        launch = Launch(
            python=Path() if missing else vllm().python(),
            model=model.directory,
            log=folder / "vllm.log",
            dtype="bfloat16",
            max_length=MAX_LENGTH + ANSWER_TOKENS,
            requests=REQUESTS,
            memory=0.5,
            gpu=0 if device == "cuda" else None,
        )
        server = None
        if not missing and not miniature:
            try:
                server = Starting(launch).wait(max(deadline.left() / 2, 1))
            except InputError as error:
                missing = f"did not start: {str(error)[-500:]}"
        engine = open_scorer(model, "bfloat16", device, 1 if miniature else 8)
        rounds = itertools.takewhile(
            lambda number: number == 0 or deadline.left() > 0, range(1 if miniature else ROUNDS)
        )
        try:
            taken = take_turns(rows, engine, server, requests=REQUESTS, rounds=rounds)
        finally:
            if server is not None:
                server.close()
    asked = f"{REQUESTS} requests at once" if server else f"vLLM {missing or 'is not asked'}"
    body = f"""
{describe_device()}. Qwen2.5-0.5B's shape with random weights in bf16, {len(rows.questions)} rows
of {mean_tokens(rows):.0f} tokens a question; {asked}. Log-probabilities of labels are at most
{furthest(taken):.1g} apart.

{describe(taken, rows)}
"""
    return Measured(body, figures(taken, rows))

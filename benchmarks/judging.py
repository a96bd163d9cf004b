"""Judging rows by our scorer, by vLLM in several ways, and by having JSON written and parsed.

    storm-exp env create vllm smollm2
    python benchmarks/judging.py                       measure, and write the section of RESULTS.md
    python benchmarks/judging.py --rows 8 --rounds 1   a short look

SmolLM2-135M in fp32 (a random model of its shape where its environment is missing) judges chats
on the standard library with the default rubric: educational value and difficulty. One server of
vLLM answers in all ways but the first, in turn, with as many requests at once, and from an empty
prefix cache each time. It wants a machine on which nothing else computes, for a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
from pathlib import Path

import torch

from judging_rounds import describe, furthest, take_turns
from judging_ways import ANSWER_TOKENS, Rows, prepare
from results import write_section
from storm_curation.judge.settings import JudgeSettings
from storm_inference.engines.transformers_engine import TransformersEngine
from storm_inference.environments.vllm import vllm
from storm_inference.servers.starting import Starting
from storm_inference.servers.vllm_server import Launch
from storm_models.checkpoint.checkpoint import Checkpoint
from training_data import TEMPLATE, Chat, docstrings, make_smollm2

WORK = Path(os.environ.get("STORM_EXP_BENCH", "outputs/bench")).absolute()
ROWS, ROUNDS, REQUESTS = 32, 3, 32
SHORTEST = 600
"""Characters of an answer, at least: a chat is longer than a block of the prefix cache."""
MAX_LENGTH = 1024
TOLERANCE = 1e-3
"""Of log-probabilities of labels, in fp32."""
START_SECONDS = 900.0
SMOLLM2 = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "rope_theta": 1e5,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


def make_model(folder: Path) -> tuple[Checkpoint, str]:
    """Return SmolLM2, or a random model of its shape, and what it is in words."""
    from storm_command.smollm2.environment import smollm2

    if not smollm2().problem():
        return Checkpoint(make_smollm2(folder / "smollm2")), "SmolLM2-135M"
    made = make_random_model(folder / "judging_random", SMOLLM2, torch.float32)
    return made, "Random weights in SmolLM2's shape"


def make_random_model(folder: Path, config: dict[str, object], dtype: torch.dtype) -> Checkpoint:
    """Write a model of random weights unless it is there, with a tokenizer of 8,192 tokens."""
    if not (folder / "tokenizer_config.json").is_file():
        from storm_models.testing import make_tokenizer
        from training_gpu_models import build

        build(config, dtype, "cpu").save_pretrained(folder)
        tokenizer = make_tokenizer(8192)
        tokenizer.chat_template = TEMPLATE
        tokenizer.save_pretrained(folder)
    return Checkpoint(folder)


def long_chats(count: int) -> list[Chat]:
    """Return questions on the standard library whose answers are its longer docstrings."""
    texts = [(name, text) for name, text in docstrings() if len(text) >= SHORTEST]
    chosen = random.Random(0).sample(texts, count)
    return [Chat(f"What does {name} do?", text, "") for name, text in chosen]


def open_scorer(model: Checkpoint, dtype: str, device: str, batch_size: int) -> TransformersEngine:
    """Return our scorer, which pads as a judge does by default.

    `batch_size` is to suit the number of rows: what lacks in a batch of a width is filled up.
    """
    return TransformersEngine(
        model,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        pad_to_multiple_of=JudgeSettings().pad_to_multiple_of,
    )


def mean_tokens(rows: Rows) -> float:
    """Return the mean length of a question's prompt."""
    return statistics.mean(len(prompt) for row in rows.questions for prompt in row)


def main() -> None:
    """Measure, and replace the section in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    given = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    model, words = make_model(WORK)
    rows = prepare(model, long_chats(given.rows), MAX_LENGTH)
    launch = Launch(
        python=vllm().python(),
        model=model.directory,
        log=WORK / "judging-vllm.log",
        dtype="float32",
        max_length=MAX_LENGTH + ANSWER_TOKENS,
        requests=given.requests,
        threads=threads,
    )
    server = Starting(launch).wait(START_SECONDS)
    try:
        engine = open_scorer(model, "float32", "cpu", 1)
        rounds = range(given.rounds)
        taken = take_turns(rows, engine, server, requests=given.requests, rounds=rounds)
    finally:
        server.close()
    off = furthest(taken)
    assert off < TOLERANCE, f"log-probabilities of labels differ by {off:.2g}"
    body = f"""
{words} in fp32 on {threads} cores; {given.rows} rows of {mean_tokens(rows):.0f} tokens a
question, {given.requests} requests at once, {given.rounds} rounds in turn, each from an empty
prefix cache. Log-probabilities of labels are at most {off:.1g} from
our scorer's. Load average when this was written: {os.getloadavg()[0]:.1f}.

{describe(taken, rows)}
"""
    options = [f"--{name} {value}" for name, value in vars(given).items()]
    command = " ".join(["python benchmarks/judging.py", *options])
    write_section("Judging, and having JSON written", command, body)


if __name__ == "__main__":
    main()

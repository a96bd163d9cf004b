"""One measured training run of one side, in a process of its own: see training.py.

python benchmarks/training_side.py PLAN.json    prints a line of JSON
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from training_data import Chat, chats
from training_plan import BETA, Course, Plan, turns
from training_trl import train_with_trl


def main(file: str) -> None:
    """Run a plan and print what it measured."""
    plan = Plan(**json.loads(Path(file).read_text(encoding="utf-8")))
    torch.set_num_threads(plan.threads)
    rows = chats(plan.rows + plan.held_out)
    train, held_out = rows[: plan.rows], rows[plan.rows :]
    imported = _peak()
    with tempfile.TemporaryDirectory() as folder:
        run = {"storm": _storm, "trl": train_with_trl, "plain": _plain}[plan.side]
        network, course = run(plan, train, Path(folder))
    peak = _peak()
    # From the end of the first step to the end of the last: warm-up is no side's fault.
    seconds = course.ends[-1] - course.ends[0]
    tokens = sum(course.tokens[1:])
    figures = dataclasses.asdict(course) | {
        "seconds": seconds,
        "tokens_per_second": tokens / seconds,
        "tokens_per_processor_second": tokens / (course.processor[-1] - course.processor[0]),
        "filled": sum(course.tokens) / sum(course.positions),
        "peak_bytes": peak,
        "peak_device_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
        "imported_bytes": imported,
        "held_out": _held_out(plan, network, held_out) if plan.score else None,
    }
    print(json.dumps(figures))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _storm(plan: Plan, rows: list[Chat], folder: Path) -> tuple[Any, Course]:
    from storm_models.checkpoint.checkpoint import Checkpoint
    from storm_training.data.packing import build_batch
    from storm_training.loop.loader import plan_run
    from storm_training.loop.trainer import train
    from storm_training.objectives.objective import NextToken
    from storm_training.objectives.preference import Preference
    from storm_training.references.scoring import score_pairs
    from training_tokens import make_stage, make_token_set, training_settings

    course = Course()

    # Notes when each step ended: figures are asked for after the optimiser's step.
    class WatchedNextToken(NextToken):
        def figures(self) -> dict[str, tuple[float, float]]:
            course.end_step()
            return super().figures()

    class WatchedPreference(Preference):
        def figures(self) -> dict[str, tuple[float, float]]:
            course.end_step()
            return super().figures()

    checkpoint = Checkpoint(Path(plan.model))
    settings = training_settings(plan)
    tokens = make_token_set(plan, rows, folder)
    sequences = tokens.sequences("train")
    objective: Any = WatchedNextToken()
    if plan.objective == "dpo":
        started = time.perf_counter()
        reference = score_pairs(
            make_stage(plan, folder, "reference"),
            checkpoint,
            sequences,
            length=plan.sequence_length,
            rows=plan.batch_rows,
            precision=plan.precision,
        )
        course.reference_seconds = time.perf_counter() - started
        objective = WatchedPreference(reference, None, beta=BETA)
        objective.prepare(np.arange(len(sequences)), None)
    network = checkpoint.load("float32")
    log = train(
        network, sequences, settings, make_stage(plan, folder, "train"), objective=objective
    )
    steps = plan_run(sequences, settings)
    assert len(steps) == len(log.steps)
    for number, entry in enumerate(log.steps):
        batches = [build_batch(sequences, packed) for packed in steps[number]]
        course.positions.append(sum(batch.input_ids.numel() for batch in batches))
        course.supervised.append(sum(batch.targets for batch in batches))
        course.tokens.append(entry["tokens"])
        course.counted.append(entry["supervised"])
        course.losses.append(entry["loss"])
        course.rates.append(entry["learning_rate"])
    return network, course


def _plain(plan: Plan, rows: list[Chat], folder: Path) -> tuple[Any, Course]:
    from training_plain import train_plainly

    return train_plainly(plan, rows, folder)


@torch.no_grad()
def _held_out(plan: Plan, network: Any, rows: list[Chat]) -> float:
    """Return the loss on unseen rows, by transformers in fp32, one row at a time.

    Per supervised token for sft, per pair for dpo.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(plan.model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.float().eval().to(device)
    told = [turns(row) for row in rows]
    if plan.objective == "sft":
        found = [_answer(network, tokenizer, row, "chosen") for row in told]
        return -sum(value for value, _ in found) / sum(count for _, count in found)
    first = AutoModelForCausalLM.from_pretrained(plan.model, dtype=torch.float32).eval()
    first = first.to(device)
    losses = []
    for row in told:
        gains = [
            _answer(network, tokenizer, row, side)[0] - _answer(first, tokenizer, row, side)[0]
            for side in ("chosen", "rejected")
        ]
        losses.append(-functional.logsigmoid(torch.tensor(BETA * (gains[0] - gains[1]))))
    return float(torch.stack(losses).mean())


def _answer(network: Any, tokenizer: Any, row: dict[str, Any], side: str) -> tuple[float, int]:
    """Return log p(answer | prompt) and the answer's tokens."""
    prompt = tokenizer.apply_chat_template(
        row["prompt"], add_generation_prompt=True, return_dict=False
    )
    ids = tokenizer.apply_chat_template(row["prompt"] + row[side], return_dict=False)
    assert ids[: len(prompt)] == prompt
    whole = torch.tensor(ids, device=network.device)
    scores = network(input_ids=whole[None]).logits[0, :-1].log_softmax(1)
    picked = scores.gather(1, whole[1:, None]).squeeze(1)[len(prompt) - 1 :]
    return float(picked.sum()), len(picked)


if __name__ == "__main__":
    main(sys.argv[1])

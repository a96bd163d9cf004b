"""Answers alone, without the start of a command: processor seconds in one process, on one thread.

The requests are those of the tasks of evaluation.py, to the harness's own model and to ours.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from evaluation import BATCH, CHOOSE, NAMES, WRITE
from results import table
from storm_report.counted import counted

ROUNDS = 1
"""Processor seconds vary by a few hundredths."""


def requests_of(task: str, folder: Path, model: Any, count: int) -> list[Any]:
    """Return the requests of the first questions of a task, as the harness makes them."""
    from lm_eval.api.instance import Instance

    lines = (folder / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    made = []
    for number, row in enumerate(map(json.loads, lines)):
        prompt = model.apply_chat_template([{"role": "user", "content": row["question"]}])
        options = {"until": ["\n\n\n"], "max_gen_toks": 32, "do_sample": False}
        asked = [options] if task == WRITE else [f" {choice}" for choice in row["choices"]]
        kind = "generate_until" if task == WRITE else "loglikelihood"
        made += [Instance(kind, row, (prompt, each), number) for each in asked]
    return made


def measure(model: Path, tasks: Path, scratch: Path, count: int, rounds: int) -> dict[str, Any]:
    """Return by task the seconds of (theirs, ours) in every round; raises where answers differ."""
    import torch
    from lm_eval.models.huggingface import HFLM

    from storm_evaluation.harness.language_model import HarnessModel
    from storm_exp.testing import make_stage
    from storm_models.checkpoint.checkpoint import Checkpoint

    torch.set_num_threads(1)
    checkpoint = Checkpoint(model)
    loaded, tokenizer = checkpoint.load(dtype="float32"), checkpoint.tokenizer()
    theirs = HFLM(pretrained=loaded, tokenizer=tokenizer, batch_size=BATCH, device="cpu")
    found: dict[str, Any] = {CHOOSE: [], WRITE: []}
    for number in range(rounds):
        for task, runs in found.items():
            stage = make_stage(scratch, f"{task}-{number}")
            chat = checkpoint.chat()
            ours = HarnessModel(loaded, tokenizer, chat, stage, batch_size=BATCH, max_length=None)
            seconds, answers = [], []
            for each in (theirs, ours):
                asked = requests_of(task, tasks, each, count)
                started = time.process_time()
                answers.append(getattr(each, asked[0].request_type)(asked, disable_tqdm=True))
                seconds.append(time.process_time() - started)
            known, own = answers if task == WRITE else map(_chosen, answers)
            assert known == own, f"{task}: the answers differ"
            runs.append(seconds)
            print(f"{task}: lm_eval {seconds[0]:.1f} s, ours {seconds[1]:.1f} s", flush=True)
    return found


def _chosen(answers: list[Any]) -> list[int]:
    """Return the likeliest of each question's four choices."""
    groups = [answers[start : start + 4] for start in range(0, len(answers), 4)]
    return [max(range(4), key=lambda choice: group[choice][0]) for group in groups]


def describe(found: dict[str, Any], count: int) -> str:
    """Return the table of medians."""
    rows = []
    for task, runs in found.items():
        before, after = (statistics.median(run[side] for run in runs) for side in (0, 1))
        name = f"questions {NAMES[task]}"
        rows.append([name, f"{before:.1f} s", f"{after:.1f} s", f"{after / before:.2f}"])
    return (
        f"{table(['', 'lm_eval', 'storm-exp', 'ratio'], rows)}\n\nProcessor seconds in one process "
        f"on one thread, of the answers to {count} questions alone, batches of {BATCH}, fp32; "
        f"medians of {counted(len(runs), 'round')}. Written answers and the likeliest choices "
        "are the same."
    )

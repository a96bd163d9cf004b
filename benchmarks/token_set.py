"""A million examples: memory while they are written, planned and read.

    python benchmarks/token_set.py

The peer is the plain way: all token ids as Python lists, shuffled and packed in memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLES = 1_000_000
SIDES = ("ours", "lists")


def lengths(count: int) -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(20, 400, count)


def ours(folder: Path) -> None:
    import numpy as np

    from storm_training.data.packing import build_batch
    from storm_training.data.token_set import CHATS
    from storm_training.data.token_writer import SplitWriter, write_content
    from storm_training.loop.loader import plan_run
    from storm_training.testing import small_settings

    with SplitWriter(folder, "train") as writer:
        for length in lengths(EXAMPLES).tolist():
            ids: Any = np.arange(length)
            writer.add([(ids, None)])
    sequences = write_content(folder, CHATS, "", {"train": writer.spec()}).sequences("train")
    settings = small_settings(steps=None, epochs=2, sequence_length=2048, batch_size=8)
    steps = plan_run(sequences, settings)
    for number in range(200):
        build_batch(sequences, steps[number][0])
    assert steps.examples() == 2 * EXAMPLES


def lists(folder: Path) -> None:
    import random

    rows = [list(range(length)) for length in lengths(EXAMPLES).tolist()]
    order = list(range(len(rows)))
    for epoch in range(2):
        random.Random(epoch).shuffle(order)
        packed: list[list[int]] = [[]]
        for index in order:
            if len(packed[-1]) + len(rows[index]) > 2048:
                packed.append([])
            packed[-1] += rows[index]


def main() -> None:
    if len(sys.argv) == 3:
        side, folder = sys.argv[1:]
        import torch  # noqa: F401  the base that both sides stand on

        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        {"ours": ours, "lists": lists}[side](Path(folder))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"seconds": time.perf_counter() - started, "kib": peak - base}))
        return
    from results import table, write_section

    rows, memory = [], {}
    for side in SIDES:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, __file__, side, folder], capture_output=True, text=True, check=True
            )
        figures = json.loads(done.stdout.splitlines()[-1])
        memory[side] = figures["kib"] / 2**20
        rows.append([side, f"{memory[side]:.2f} GiB", f"{figures['seconds']:.0f} s"])
    rows.append(["ours / lists", f"{memory['ours'] / memory['lists']:.2f}", ""])
    write_section(
        "A million examples, written, planned and read",
        "python benchmarks/token_set.py",
        table(["", "resident memory above the imports", "time"], rows),
    )


if __name__ == "__main__":
    main()

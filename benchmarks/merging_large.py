"""Merging two checkpoints of an 8 B model's shapes, beside reading and writing those bytes alone.

python benchmarks/merging.py --shapes 8b                measure, and write the section
python benchmarks/merging.py --shapes 8b --layers 2     with two layers, beside embedding and head

Both are whole commands in processes of their own, on the same two cores, in turn: ours merges two
models that the store holds; the other one reads both files in the same pieces, writes one of them
again, and flushes it to the disk, either in one thread or with two more that read ahead. Before
each, the parents' pages are dropped from the page cache, and the result of the run before is
deleted.

As many layers are taken as the disk holds thrice (the parents, and a result) with 12 GB left over,
`--layers` at most.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from merging import Run, run, storm
from results import CHOICES, table, write_section

if TYPE_CHECKING:
    from storm_models.families.model_config import ModelConfig

GIGABYTE = 1e9
MARGIN = 12 * GIGABYTE
LAYERS, ROUNDS, CORES, BAR = 14, 3, 2, 1.5
WEIGHTS = "model.safetensors"
PIECE = 1 << 19
"""Bytes that are read or written at once: 2^18 weights in bfloat16, as merges take them."""
DRAWN = 1 << 24
"""Weights that are drawn at once."""


def shapes_of(layers: int) -> dict[str, tuple[int, ...]]:
    """Return Llama-3.1-8B's tensors, with so many layers."""
    from storm_models.families.architecture import tensor_shapes

    shapes = tensor_shapes(config_of(layers))
    assert shapes is not None
    return shapes


def config_of(layers: int) -> ModelConfig:
    """Return config.json of a model with so many layers."""
    from transformers import AutoConfig

    from storm_models.families.model_config import model_config
    from training_gpu_models import EIGHT_BILLION

    options = EIGHT_BILLION | {"num_hidden_layers": layers, "architectures": ["LlamaForCausalLM"]}
    theta = options.pop("rope_theta")
    options["rope_parameters"] = {"rope_type": "default", "rope_theta": theta}
    kind = str(options.pop("model_type"))
    made = AutoConfig.for_model(kind, **options, bos_token_id=None, eos_token_id=1)
    return model_config({**made.to_dict(), "dtype": "bfloat16"})


def bytes_of(layers: int) -> int:
    """Return the bytes of a model's weights."""
    return 2 * sum(map(math.prod, shapes_of(layers).values()))


def layers_that_fit(folder: Path, most: int) -> int:
    """Return how many layers the disk holds; ends the program if not even one."""
    room = shutil.disk_usage(folder).free - MARGIN
    fitting = [layers for layers in range(1, most + 1) if 3 * bytes_of(layers) <= room]
    if not fitting:
        needed = (3 * bytes_of(1) + MARGIN) / GIGABYTE
        sys.exit(f"{folder}: {needed:.0f} GB must be free for one layer (TMPDIR names another)")
    return max(fitting)


def make_parents(folder: Path, layers: int) -> None:
    """Write two random models into `one` and `two`, whose matrices lie 27 degrees apart."""
    import torch

    from storm_models.folder.tensor_file import TensorWriter
    from storm_models.testing import make_byte_tokenizer

    shapes = shapes_of(layers)
    headers = {name: ("BF16", shape) for name, shape in shapes.items()}
    parents = [folder / "one", folder / "two"]
    for parent in parents:
        parent.mkdir()
        (parent / "config.json").write_text(json.dumps(config_of(layers)), encoding="utf-8")
        make_byte_tokenizer().save_pretrained(parent)
    draw = torch.Generator().manual_seed(0)
    change = torch.randn(DRAWN, generator=draw) * 0.01
    first, second = (TensorWriter(parent / WEIGHTS, headers) for parent in parents)
    with first, second:
        for name, shape in shapes.items():
            size, centre = math.prod(shape), float(name.endswith("norm.weight"))
            for start in range(0, size, DRAWN):
                count = min(DRAWN, size - start)
                weights = torch.randn(count, generator=draw) * 0.02 + centre
                first.write(name, weights.bfloat16(), start)
                second.write(name, (weights + change[:count]).bfloat16(), start)


def copy(one: Path, two: Path, target: Path) -> None:
    """Read both files in pieces, write the first one's into `target`, and flush it."""
    buffers = [memoryview(bytearray(PIECE)) for _ in range(2)]
    with one.open("rb", 0) as first, two.open("rb", 0) as second, target.open("wb", 0) as written:
        while count := first.readinto(buffers[0]):
            second.readinto(buffers[1])
            written.write(buffers[0][:count])
        os.fsync(written.fileno())


def copy_ahead(one: Path, two: Path, target: Path) -> None:
    """Do the same, reading the next pieces of both files in two threads while one is written."""
    buffers = [[memoryview(bytearray(PIECE)) for _ in range(2)] for _ in range(2)]
    with (
        one.open("rb", 0) as first,
        two.open("rb", 0) as second,
        target.open("wb", 0) as written,
        ThreadPoolExecutor(2) as readers,
    ):
        reading = list(map(readers.submit, (first.readinto, second.readinto), buffers[0]))
        while count := min(each.result() for each in reading):
            read = buffers[0][0][:count]
            buffers.reverse()
            reading = list(map(readers.submit, (first.readinto, second.readinto), buffers[0]))
            written.write(read)
        os.fsync(written.fileno())


def drop(*files: Path) -> None:
    """Have files read from the disk the next time."""
    os.sync()
    for file in files:
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def one_round(folder: Path, number: int) -> dict[str, Run]:
    """Copy and merge, in an order that changes; return what each took."""
    parents = [folder / "one", folder / "two"]
    files = [parent / WEIGHTS for parent in parents]
    target = folder / "copied"

    def copied(way: str = "copy") -> Run:
        command: list[str | Path] = [sys.executable, __file__, way, *files, target]
        try:
            return run(command, folder, cores=CORES)
        finally:
            target.unlink(missing_ok=True)

    def merged() -> Run:
        storm(folder, parents, "targets=[base_model,partner]", empty=True)
        drop(*files)
        try:
            return storm(folder, parents, "merger.t=0.4", cores=CORES)
        finally:
            shutil.rmtree(folder / "outputs", ignore_errors=True)

    ways = {"copied": copied, "copied ahead": lambda: copied("copy-ahead"), "merged": merged}
    taken = {}
    for name in sorted(ways, reverse=bool(number % 2)):
        drop(*files)
        taken[name] = ways[name]()
        print(f"{name}: {taken[name][0]:.1f} s, {taken[name][2]:.1f} s of processor", flush=True)
    return taken


def apart(*words: str) -> str:
    """Take a step in a process of its own, which leaves this one small; return what it printed.

    A process that this one starts is charged with its memory at first.
    """
    command = [sys.executable, __file__, *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def measure(most: int, rounds: int) -> None:
    """Measure, and replace the section in RESULTS.md."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layers, size = json.loads(apart("parents", name, str(most)))
        print(f"{layers} layers, {size / GIGABYTE:.1f} GB a model", flush=True)
        runs = [one_round(folder, number) for number in range(rounds)]
    ways = ("copied", "copied ahead", "merged")
    seconds, peak, processor = (
        {way: choose(each[way][i] for each in runs) for way in ways}
        for i, choose in enumerate(CHOICES)
    )
    ratio = seconds["merged"] / seconds["copied"]
    header = [
        "",
        "read and written",
        "the same, reading ahead",
        "slerp",
        "slerp / first",
        "at most",
    ]
    rows = [
        ["seconds, median", *(f"{seconds[way]:.1f}" for way in ways), f"{ratio:.2f}", f"{BAR}"],
        ["of the processor", *(f"{processor[way]:.1f}" for way in ways), "", ""],
        ["peak resident memory, GB", *(f"{peak[way]:.2f}" for way in ways), "", ""],
    ]
    body = f"""
{table(header, rows)}

Two models of Llama-3.1-8B's shapes with {layers} of its 32 layers, {size / GIGABYTE:.1f} GB each
in bfloat16, which the store holds. Ours is the whole command, with the angles of all pairs of
tensors, the digest of the result, record and report; the other one reads both files once and
writes one, in pieces of {PIECE >> 10} KiB. Parents are read from the disk, results are flushed to
it. {rounds} rounds in turn, on {CORES} cores: the first has one thread, the
second one and ours read ahead in two more, and ours digests in another.
"""
    command = f"python benchmarks/merging.py --shapes 8b --layers {layers}"
    write_section("Merging an 8 B model's shapes", command, body)


def main(words: list[str]) -> None:
    """Measure, or take one step in this process."""
    match words:
        case ["parents", folder, most]:
            layers = layers_that_fit(Path(folder), int(most))
            make_parents(Path(folder), layers)
            print(json.dumps([layers, bytes_of(layers)]))
        case ["copy", one, two, target]:
            copy(Path(one), Path(two), Path(target))
        case ["copy-ahead", one, two, target]:
            copy_ahead(Path(one), Path(two), Path(target))
        case _:
            parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
            parser.add_argument("--shapes", choices=["8b"], required=True)
            parser.add_argument("--layers", type=int, default=LAYERS)
            parser.add_argument("--rounds", type=int, default=ROUNDS)
            given = parser.parse_args(words)
            measure(given.layers, given.rounds)


if __name__ == "__main__":
    main(sys.argv[1:])

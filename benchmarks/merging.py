"""Merging two checkpoints of 0.5 B parameters against mergekit-yaml, and blending at nine weights.

python benchmarks/merging.py                     measure, and write the section of RESULTS.md
python benchmarks/merging.py parents FOLDER      only write the two checkpoints
python benchmarks/merging.py compare ONE TWO     only count the weights in which two agree
python benchmarks/merging.py --shapes 8b         8 B shapes beside reading and writing alone:
                                                 see merging_large.py
python benchmarks/merging.py --methods           four of mergekit's methods: see merging_methods.py

Both are whole commands in processes of their own, interleaved, on one core with one thread. The
parents lie in the page cache, and a merge counts as done when its files are on the disk. Needs 8 GB
in the temporary folder (TMPDIR), which are given back.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import CHOICES, table, write_section

WEIGHTS = [round(0.1 * tenth, 1) for tenth in range(1, 10)]
BLENDS = 3
Run = tuple[float, float, float]
"""Wall seconds, peak resident memory in GB, processor seconds."""
MERGEKIT = Path(sys.executable).with_name("mergekit-yaml")
BLEND = """
import sys
from pathlib import Path
from storm_models.checkpoint.checkpoint import Checkpoint
for place in sys.argv[1:]:
    model = Checkpoint(Path(place), Path(place).name).load()
    del model
"""
"""Has each merge in memory, one after the other, as evaluators of a sweep do."""


def make_parents(folder: Path) -> None:
    """Write two related random models of Qwen2's 0.5 B shape into `one` and `two`.

    Matrices lie 27 degrees apart and are truly slerped, norms nearly on a line.
    """
    import torch
    from transformers import Qwen2Config

    from storm_models.families.architecture import tensor_shapes
    from storm_models.folder.tensor_file import TensorWriter
    from storm_models.testing import make_byte_tokenizer

    config = Qwen2Config(
        architectures=["Qwen2ForCausalLM"],
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        dtype="bfloat16",
    )
    parents = [folder / "one", folder / "two"]
    for parent in parents:
        config.save_pretrained(parent)
        make_byte_tokenizer().save_pretrained(parent)
    shapes = tensor_shapes(json.loads((parents[0] / "config.json").read_text(encoding="utf-8")))
    assert shapes is not None
    headers = {name: ("BF16", shape) for name, shape in shapes.items()}
    files = [parent / "model.safetensors" for parent in parents]
    generator = torch.Generator().manual_seed(0)
    with TensorWriter(files[0], headers) as first, TensorWriter(files[1], headers) as second:
        for name, shape in shapes.items():
            tensor = torch.randn(shape, generator=generator) * 0.02
            tensor += float(name.endswith("norm.weight"))
            change = torch.randn(shape, generator=generator) * 0.01
            first.write(name, tensor.bfloat16())
            second.write(name, (tensor + change).bfloat16())


def run(arguments: list[str | Path], folder: Path, result: str = "", cores: int = 1) -> Run:
    """Run a command on so many cores; return what it took until `result` is on the disk."""
    chosen = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    os.sync()  # nobody pays for what the run before left to be written
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "-c", chosen, *map(str, arguments)],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        for file in (folder / result).rglob("*.safetensors") if result else ():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            sys.exit(f"{arguments} failed:\n{output.read().decode()[-3000:]}")
    return seconds, usage.ru_maxrss * 1024 / 1e9, usage.ru_utime + usage.ru_stime


def merge_with_mergekit(folder: Path, parents: list[Path], weight: float) -> Run:
    """Merge by mergekit-yaml into `folder/theirs`."""
    shutil.rmtree(folder / "theirs", ignore_errors=True)
    config = {
        "merge_method": "slerp",
        "base_model": str(parents[0]),
        "models": [{"model": str(parent)} for parent in parents],
        "parameters": {"t": weight},
        "dtype": "bfloat16",
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    options = ["--no-write-model-card", "--quiet", "--num-threads", "1"]
    return run([MERGEKIT, file, folder / "theirs", *options], folder, "theirs")


def storm(
    folder: Path, parents: list[Path], *words: str, empty: bool = False, cores: int = 1
) -> Run:
    """Run the recipe `merge`, with an empty store or with what lies in `folder/outputs`."""
    if empty:
        shutil.rmtree(folder / "outputs", ignore_errors=True)
    command = [sys.executable, "-m", "storm_exp", *words, "recipe=merge"]
    places = [f"base_model.path={parents[0]}", f"partner.path={parents[1]}"]
    return run([*command, *places], folder, "outputs/store", cores)


def blend(folder: Path, parents: list[Path]) -> tuple[float, float, int]:
    """Have all nine merges in memory, in turn; return seconds, peak GB, bytes of the store."""
    values = ",".join(map(str, WEIGHTS))
    words = ["-m", f"merger.t={values}"]
    planned, planning_peak, _ = storm(folder, parents, *words, empty=True)
    links = sorted((folder / "outputs/latest/cells").glob("*/merger"))
    assert len(links) == len(WEIGHTS)
    loaded, peak, _ = run(
        [sys.executable, "-c", BLEND, *(link.resolve() for link in links)], folder
    )
    store = folder / "outputs/store"
    own = [file for file in store.rglob("*") if file.is_file() and not file.is_symlink()]
    assert not [file for file in own if file.suffix == ".safetensors"]  # parents are linked to
    written = sum(file.stat().st_size for file in own)
    return planned + loaded, max(planning_peak, peak), written


def compare(one: Path, two: Path) -> None:
    """Print the share of equal weights, and of those within one bfloat16 rounding."""
    import torch

    from storm_models.checkpoint.checkpoint import Checkpoint

    other = Checkpoint(two)
    total = equal = near = 0
    for name, tensor in Checkpoint(one).tensors():
        theirs = other.tensor(name)
        total += tensor.numel()
        equal += int((tensor == theirs).sum())
        near += int(torch.isclose(tensor.float(), theirs.float(), rtol=2**-7, atol=1e-8).sum())
    print(json.dumps([equal / total, near / total]))


def apart(*words: str | Path) -> str:
    """Run a step of this script in a process of its own; return what it printed.

    This one stays small: a process that it starts is charged with its memory at first.
    """
    command = [sys.executable, __file__, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def one_round(folder: Path, parents: list[Path], weight: float) -> dict[str, Run]:
    """Merge at a weight, by mergekit and by ours from three states of the store."""
    runs = {"mergekit": merge_with_mergekit(folder, parents, weight)}
    runs["empty"] = storm(folder, parents, f"merger.t={weight}", empty=True)
    storm(folder, parents, "targets=[base_model,partner]", empty=True)
    runs["known"] = storm(folder, parents, f"merger.t={weight}")
    runs["again"] = storm(folder, parents, f"merger.t={weight + 0.05}")
    return runs


def versus(what: str, theirs: float, ours: float, unit: str, bar: str = "") -> list[str]:
    """Return a row of the table."""
    return [what, f"{theirs:.2f} {unit}", f"{ours:.2f} {unit}", f"{theirs / ours:.1f}", bar]


def measure() -> None:
    """Measure, and replace the section in RESULTS.md."""
    rounds: list[dict[str, Run]] = []
    blends = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apart("parents", folder)
        parents = [folder / "one", folder / "two"]
        for number, weight in enumerate(WEIGHTS):
            if number == 0:
                merge_with_mergekit(folder, parents, weight)
                storm(folder, parents, f"merger.t={weight}", empty=True)
                merged = folder / "outputs/latest/merger"
                equal, near = json.loads(apart("compare", merged, folder / "theirs"))
                summary = (merged / "merge.json").read_text(encoding="utf-8")
                slerped = json.loads(summary)["share_slerped"]
            rounds.append(one_round(folder, parents, weight))
            print(f"t={weight}: {rounds[-1]}", flush=True)
            if number % (len(WEIGHTS) // BLENDS) == 0:
                blends.append(blend(folder, parents))
                print(f"nine: {blends[-1]}", flush=True)
    seconds, peak, processor = (
        {name: choose(each[name][i] for each in rounds) for name in rounds[0]}
        for i, choose in enumerate(CHOICES)
    )
    nine = sum(each["mergekit"][0] for each in rounds), statistics.median(b[0] for b in blends)
    theirs = seconds["mergekit"], peak["mergekit"], processor["mergekit"]
    rows = [
        versus("a merge of two models that the store holds", theirs[0], seconds["known"], "s", "3"),
        versus("its processor time", theirs[2], processor["known"], "s"),
        versus("its peak resident memory", theirs[1], peak["known"], "GB", "10"),
        versus("the same from an empty store", theirs[0], seconds["empty"], "s"),
        versus("another weight of the same models", theirs[0], seconds["again"], "s"),
        versus("a model in memory at nine weights, from an empty store", *nine, "s", "5"),
        ["its peak resident memory", "", f"{max(b[1] for b in blends):.2f} GB", "", ""],
        ["bytes in the store after it", "", f"{max(b[2] for b in blends):,}, no weights", "", ""],
    ]
    notes = (
        f"Two Qwen2 models of 494 M parameters in bfloat16; {slerped:.0%} of the tensors are truly "
        f"slerped. {equal:.2%} of the weights are bit by bit mergekit's, {near:.2%} within one "
        "rounding. Medians of nine weights, peaks the highest of nine. Ours is the whole command "
        "with its record, report and digest of the result; from an empty store it digests both "
        "parents too. Against nine runs of mergekit stand one sweep and nine loads, for which no "
        "weight is written."
    )
    header = ["", "mergekit-yaml", "storm-exp", "ratio", "at least"]
    body = f"{table(header, rows)}\n\n{notes}"
    write_section("Merging against mergekit", "python benchmarks/merging.py", body)


def main(words: list[str]) -> None:
    """Measure, or take one step."""
    match words:
        case []:
            measure()
        case ["parents", folder]:
            make_parents(Path(folder))
        case ["compare", one, two]:
            compare(Path(one), Path(two))
        case ["--shapes", *_]:
            import merging_large

            merging_large.main(words)
        case ["--methods", *_]:
            import merging_methods

            merging_methods.main(words)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])

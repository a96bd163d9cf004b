"""Merging by four of mergekit's methods at 0.5 B parameters, beside mergekit-yaml on the same file.

python benchmarks/merging.py --methods                   measure, and write the section
python benchmarks/merging.py --methods --layers 2 --vocabulary 4096      smaller; only print

Both are whole commands in processes of their own, in turn, on one core with one thread: ours runs
`recipe=merge_yaml` on models that the store holds. The parents lie in the page cache, and a merge
counts as done when its files are on the disk. Needs 8 GB in the temporary folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from merging import MERGEKIT, Run, apart, run
from results import CHOICES, table, write_section

METHODS = ("linear", "ties", "dare_ties", "model_stock")
ROUNDS, LAYERS, VOCABULARY = 3, 24, 151_936
SPEED, MEMORY = 2.0, 5.0
"""How many times faster, and how much smaller, ours is to be."""


def make_models(folder: Path, layers: int, vocabulary: int) -> None:
    """Write `base`, `one` and `two`, random models of Qwen2's 0.5 B shape, into the folder."""
    import torch
    from transformers import Qwen2Config

    from storm_models.families.architecture import tensor_shapes
    from storm_models.folder.tensor_file import TensorWriter
    from storm_models.testing import make_byte_tokenizer

    config = Qwen2Config(
        architectures=["Qwen2ForCausalLM"],
        vocab_size=vocabulary,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=layers,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        dtype="bfloat16",
    )
    places = [folder / name for name in ("base", "one", "two")]
    for place in places:
        config.save_pretrained(place)
        make_byte_tokenizer().save_pretrained(place)
    shapes = tensor_shapes(json.loads((places[0] / "config.json").read_text(encoding="utf-8")))
    assert shapes is not None
    for number, place in enumerate(places):
        headers = {name: ("BF16", shape) for name, shape in shapes.items()}
        with TensorWriter(place / "model.safetensors", headers) as writer:
            for seed, (name, shape) in enumerate(shapes.items()):
                generator = torch.Generator().manual_seed(seed)
                tensor = torch.randn(shape, generator=generator) * 0.02
                if number:
                    generator.manual_seed(1_000_000 * number + seed)
                    tensor += torch.randn(shape, generator=generator) * 0.002
                writer.write(name, tensor.bfloat16())


def write_file(folder: Path, method: str) -> Path:
    """Write the YAML of a method; return it."""
    own = {"weight": 0.5, **({"density": 0.5} if method in ("ties", "dare_ties") else {})}
    parameters = {"parameters": own} if method != "model_stock" else {}
    content: dict[str, Any] = {
        "merge_method": method,
        "models": [{"model": str(folder / name), **parameters} for name in ("one", "two")],
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }
    if method != "linear":
        content["base_model"] = str(folder / "base")
    file = folder / f"{method}.yaml"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def theirs(folder: Path, file: Path) -> Run:
    """Merge by mergekit-yaml."""
    shutil.rmtree(folder / "theirs", ignore_errors=True)
    options = ["--no-write-model-card", "--quiet", "--num-threads", "1"]
    return run([MERGEKIT, file, folder / "theirs", *options], folder, "theirs")


def ours(folder: Path, file: Path) -> Run:
    """Merge by `recipe=merge_yaml`, with a store that holds the models and nothing else."""
    shutil.rmtree(folder / "outputs", ignore_errors=True)
    words = ["-m", "storm_exp", "recipe=merge_yaml", f"merge.file={file}"]
    targets = "one,two" if file.stem == "linear" else "base,one,two"
    run([sys.executable, *words, f"targets=[{targets}]"], folder)
    return run([sys.executable, *words], folder, "outputs/store")


def measure(layers: int, vocabulary: int, rounds: int) -> str:
    """Return the table and the notes of a section."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apart("--methods", "models", folder, str(layers), str(vocabulary))
        for method in METHODS:
            file = write_file(folder, method)
            runs = [(theirs(folder, file), ours(folder, file)) for _ in range(rounds)]
            print(f"{method}: {runs}", flush=True)
            their_seconds, our_seconds = (CHOICES[0](pair[i][0] for pair in runs) for i in (0, 1))
            their_peak, our_peak = (CHOICES[1](pair[i][1] for pair in runs) for i in (0, 1))
            rows.append(
                [
                    method,
                    f"{their_seconds:.1f} s, {their_peak:.2f} GB",
                    f"{our_seconds:.1f} s, {our_peak:.2f} GB",
                    f"{their_seconds / our_seconds:.1f}, {their_peak / our_peak:.1f}",
                    f"{SPEED:g}, {MEMORY:g}",
                ]
            )
    notes = (
        f"Models of Qwen2's 0.5 B shape, {layers} layers and {vocabulary:,} tokens, in bfloat16, "
        f"merged in fp32. Medians and highest peaks of {rounds}. Ours is the whole command with "
        "its record, report and digest of the result."
    )
    header = ["", "mergekit-yaml", "storm-exp", "ratio of seconds, of memory", "at least"]
    return f"{table(header, rows)}\n\n{notes}"


def main(words: list[str]) -> None:
    """Measure, and write the section if the models have their full size; or write the models."""
    if words[1:2] == ["models"]:
        _, _, place, layers, vocabulary = words
        make_models(Path(place), int(layers), int(vocabulary))
        return
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--methods", action="store_true")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(words)
    body = measure(given.layers, given.vocabulary, given.rounds)
    if (given.layers, given.vocabulary) == (LAYERS, VOCABULARY):
        write_section(
            "Merging by mergekit's methods", "python benchmarks/merging.py --methods", body
        )
    print(body)

"""Merging two models, and writing the result in FP8 and as GGUF, on the machine of a GPU."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gpu_part import Deadline, Measured
from results import table
from storm_exp.testing import make_stage, run_component
from storm_models.checkpoint.checkpoint import Checkpoint
from training_gpu_models import HALF_BILLION, TINY, build, describe_device


def export(deadline: Deadline, *, miniature: bool) -> Measured:
    """Return what a merge takes and each form of its result, from files to files."""
    lines: list[list[str]] = []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parents = make_parents(folder, HALF_BILLION | (TINY if miniature else {}))
        inputs: list[Any] = [parents]
        for what, component, package in components():
            if importlib.util.find_spec(package) is None:
                lines.append([what, f"not measured: no {package} here", ""])
                continue
            if deadline.left() < 0:
                lines.append([what, "not measured: no time was left", ""])
                continue
            started = time.perf_counter()
            made = run_component(component, make_stage(folder, what), *inputs)
            figures[f"{what}_seconds"] = seconds = time.perf_counter() - started
            files = [file for file in made.directory.iterdir() if file.is_file()]
            size = sum(file.stat().st_size for file in files)
            lines.append([what, f"{seconds:.1f} s", f"{size / 1e6:,.1f} MB"])
            if what == "merge":
                inputs = [made]
        size = parents[0].weight_bytes()
    body = f"""
{describe_device()}. Two models of Qwen2.5-0.5B's shape with random weights, {size / 1e6:,.1f} MB
each, slerped; the result in FP8 (dynamic, by llm-compressor) and as GGUF (Q8_0, by our writer).

{table(["", "time", "written"], lines)}
"""
    return Measured(body, figures)


def components() -> Iterator[tuple[str, Any, str]]:
    """Yield what is measured: its name, the component, and the package that it needs."""
    from storm_export.fp8_dynamic import Fp8Dynamic
    from storm_export.gguf.exporter import Gguf
    from storm_export.gguf.formats import GgufType
    from storm_merging.methods.slerp import Slerp

    yield "merge", Slerp(t=0.4), "torch"
    yield "fp8", Fp8Dynamic(), "llmcompressor"
    yield "gguf_q8_0", Gguf(types=[GgufType.q8_0]), "gguf"


@torch.no_grad()
def make_parents(folder: Path, config: dict[str, Any]) -> list[Checkpoint]:
    """Write two related random models, with a tokenizer."""
    from storm_models.testing import make_tokenizer

    network = build(config, torch.bfloat16)
    parents = [folder / "one", folder / "two"]
    for parent in parents:
        network.save_pretrained(parent)
        make_tokenizer(8192).save_pretrained(parent)
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    return [Checkpoint(parent) for parent in parents]

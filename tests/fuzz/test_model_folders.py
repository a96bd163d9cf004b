"""For any contents of a model's folder, a plan ends with a spec or with an error message.

Each folder is a small model with one thing wrong: a value in a config, an index or a tokenizer, a
header, the bytes of a file, or what a file is. Seeds are fixed. Only StormErrors may leave what a
plan calls, and each folder takes bounded time and memory.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fuzz.damaged_folders import CHANGES, FAMILIES, write_folder, write_json
from fuzz.shares import Share, in_shares
from storm_curation.judge.zero_shot import ZeroShot
from storm_data.dataset import DatasetSpec
from storm_evaluation.held_out.held_out import HeldOut
from storm_exp import FileDigests, StormError
from storm_export.bf16 import Bf16
from storm_export.fp8_dynamic import Fp8Dynamic
from storm_merging.methods.block_expand import BlockExpand
from storm_merging.methods.depth_upscale import DepthUpscale
from storm_merging.methods.slerp import Slerp
from storm_minitron.depth.block_importance_scanner import BlockImportanceScanner
from storm_minitron.depth.minitron_depth import MinitronDepth
from storm_minitron.width.importance import ImportanceSpec
from storm_minitron.width.importance_scanner import ImportanceScanner
from storm_minitron.width.minitron_width import MinitronWidth
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.estimate.hardware import ACCELERATORS, Hardware
from storm_models.sources.path import Path as PathComponent
from storm_training.components.sft import Sft
from storm_training.data.token_set import TokenSetSpec
from storm_training.references.top_k_teacher import TopKTeacher
from storm_training.trainable.snr_scanner import SnrScanner

HARDWARE = Hardware(ACCELERATORS["cpu"], 1, False)
FOLDERS = 320
SECONDS = 5.0
"""Most seconds for one folder, on a busy machine."""


def what_a_plan_calls(folder: Path, digests: FileDigests) -> list[Callable[[], Any]]:
    """Return every call that a plan makes for a model and for the stages that may follow it."""
    adopted = PathComponent(path=str(folder))
    adopted.fingerprint(digests)
    model = adopted.plan_spec()
    adopted.notes()
    model.summary()
    json.dumps(model.to_json(), allow_nan=False)
    chats = DatasetSpec(splits={"train": [9, 9]}, columns=["messages"], row_tokens=20.0)
    tokens = TokenSetSpec(tokens={"train": 100.0})
    few: dict[str, Any] = {"seed": 0, "validation_rows": 0}
    steps: list[tuple[Any, tuple[Any, ...]]] = [
        (Sft(**few), (model, tokens)),
        (SnrScanner(), (model,)),
        (TopKTeacher(k=2), (model, tokens)),
        (Slerp(t=0.5), ([model, model],)),
        (BlockExpand(every=1), (model,)),
        (DepthUpscale(m=1), (model,)),
        (MinitronDepth(drop=[1]), (model,)),
        (MinitronWidth(hidden_size=4), (model, ImportanceSpec())),
        (ImportanceScanner(seed=0), (model, chats)),
        (BlockImportanceScanner(seed=0), (model, chats)),
        (Bf16(), (model,)),
        (Fp8Dynamic(), (model,)),
        (ZeroShot(), (model, chats)),
        (HeldOut(), (model, chats)),
    ]
    return [lambda step=step, ports=ports: ask(step, ports) for step, ports in steps]


def ask(component: Any, ports: tuple[Any, ...]) -> None:
    """Call a component's `plan_spec` and `cost`."""
    made = component.plan_spec(*ports)
    made.summary()
    if not hasattr(component, "cost"):
        return
    wanted = component.cost.__code__.co_varnames[1 : component.cost.__code__.co_argcount]
    given = {"spec": made, "hardware": HARDWARE}
    for port in ports:
        if isinstance(port, CheckpointSpec):
            given |= {"model": port, "tokenizer": port}
        elif isinstance(port, DatasetSpec):
            given["data"] = port
        elif isinstance(port, TokenSetSpec):
            given["tokens"] = port
        elif isinstance(port, list):
            given["models"] = port
    component.cost(**{name: given[name] for name in wanted if name in given})


def outcome(call: Callable[[], Any]) -> str:
    """Return `passed`, `refused`, or the name and text of the exception that a call raised."""
    try:
        call()
    except StormError as error:
        assert str(error)
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "passed"


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return an unharmed folder of every family."""
    root = tmp_path_factory.mktemp("wholes")
    for family in FAMILIES:
        write_folder(root / family, family)
    return {family: root / family for family in FAMILIES}


def test_the_unharmed_folders_pass(wholes: dict[str, Path], tmp_path: Path) -> None:
    digests = FileDigests(tmp_path / "digests")
    for family, folder in wholes.items():
        results = [outcome(call) for call in what_a_plan_calls(folder, digests)]
        assert set(results) <= {"passed", "refused"}, (family, results)
        assert results.count("passed") > (3 if family == "mixtral" else 8), (family, results)


@in_shares
def test_no_folder_gives_a_traceback(
    wholes: dict[str, Path], tmp_path: Path, share: Share[int]
) -> None:
    digests = FileDigests(tmp_path / "digests")
    tracebacks: list[str] = []
    slow: list[str] = []
    refused = 0
    seeds = share(range(FOLDERS))
    for seed in seeds:
        draw = random.Random(seed)
        family = draw.choice(sorted(FAMILIES))
        folder = tmp_path / "model"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(wholes[family], folder)
        change = draw.choice(CHANGES)
        change(draw, folder)
        where = f"seed {seed} ({family}, {change.__name__})"
        started = time.monotonic()
        calls: list[Callable[[], Any]] = []

        def plan(folder: Path = folder, calls: list[Callable[[], Any]] = calls) -> None:
            calls.extend(what_a_plan_calls(folder, digests))

        result = outcome(plan)
        refused += result == "refused"
        for each in (result, *map(outcome, calls)):
            if each not in ("passed", "refused"):
                tracebacks.append(f"{where}: {each[:200]}")
        if time.monotonic() - started > SECONDS:
            slow.append(where)
    assert len(tracebacks) == 0, "\n".join(tracebacks)
    assert not slow
    assert len(seeds) // 3 < refused < len(seeds)


HOSTILE: dict[str, Callable[[Path], None]] = {
    "ten million layers": lambda folder: edit(folder, num_hidden_layers=10**7),
    "a wide model": lambda folder: edit(folder, hidden_size=10**12, vocab_size=10**12),
    "ten million kinds": lambda folder: edit(folder, layer_types=["full_attention"] * 10**6),
    "a long header": lambda folder: long_header(folder / "model.safetensors"),
}


def edit(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_bytes())
    write_json(folder / "config.json", {**config, **values})


def long_header(file: Path) -> None:
    with file.open("wb") as stream:
        stream.write((90 << 20).to_bytes(8, "little"))
        stream.truncate(100 << 20)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sizes_take_no_memory(name: str, wholes: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(wholes["llama"], folder)
    HOSTILE[name](folder)
    program = (
        "import resource, sys\n"
        "from storm_exp import StormError\n"
        "from storm_models.sources.path import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    Path(path=sys.argv[1]).plan_spec()\n"
        "except StormError:\n    pass\nelse:\n    sys.exit('passed')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200_000

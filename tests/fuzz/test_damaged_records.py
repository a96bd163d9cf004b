"""Damaged records: for any contents of a run's folder or the store, no verb ends in a traceback."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import shutil
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fuzz.nested import paths
from fuzz.shares import in_shares
from storm_exp.__main__ import main
from storm_exp._store.store import Store
from storm_exp.testing import installed
from storm_exp.testing import run as run_in

TOYS = Path(__file__).parents[1] / "toys"
ODD: list[Any] = [
    None,
    "",
    "\ud800",
    "../..",
    -1,
    10**400,
    float("nan"),
    float("inf"),
    True,
    [],
    [[]],
    {},
    {"a": {"b": None}},
    [None],
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the folder of a finished run, with its store."""
    folder = tmp_path_factory.mktemp("run")
    with installed(TOYS):
        assert run_in(folder, "recipe=sum").code == 0
        yield folder / "outputs"


def replace(values: Any, draw: random.Random) -> bytes:
    """Return JSON with one value replaced, deleted or added."""
    values = copy.deepcopy(values)
    *way, last = draw.choice(paths(values))
    inside = values
    for name in way:
        inside = inside[name]
    match draw.randrange(5):
        case 0:
            del inside[last]
        case 1 if isinstance(inside, dict):
            inside["unheard of"] = draw.choice(ODD)
        case _:
            inside[last] = draw.choice(ODD)
    return json.dumps(values).encode()


def spoil(text: bytes, draw: random.Random) -> bytes:
    """Return a file's bytes, damaged as by a disk or an editor."""
    match draw.randrange(7):
        case 0:
            return text[: draw.randrange(len(text))]
        case 1:
            at = draw.randrange(len(text))
            return text[:at] + bytes([draw.randrange(256)]) + text[at + 1 :]
        case 2:
            return b"[" * 100_000
        case 3:
            return b'{"a":' * 50_000
        case 4:
            return bytes(draw.randrange(256) for _ in range(200))
        case 5:
            return json.dumps(draw.choice(ODD)).encode()
        case _:
            return text + text


def tracebacks(*lines: list[str]) -> list[str]:
    """Run command lines; return the tracebacks of those that ended in one."""
    found = []
    for line in lines:
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                code = main(line)
        except BaseException:
            found.append(f"{line}\n{traceback.format_exc()}")
            continue
        assert code in (0, 1)
        assert "Traceback" not in out.getvalue(), out.getvalue()
        if "an unexpected failure" in out.getvalue():
            found.append(f"{line}\n{out.getvalue()}")
    return found


def spoilings(file: Path, count: int, seed: int) -> list[bytes]:
    """Return a record damaged in many ways, the same ones at every call."""
    draw, text = random.Random(seed), file.read_bytes()
    values = json.loads(text) if text.startswith(b"{") else None
    return [
        spoil(text, draw) if number % 3 == 0 or not values else replace(values, draw)
        for number in range(count)
    ]


def damaged(file: Path, contents: list[bytes], *lines: list[str]) -> list[str]:
    """Give a file each content, run command lines each time; return the tracebacks."""
    text, mode = file.read_bytes(), file.stat().st_mode
    found = []
    for spoilt in contents:
        file.chmod(0o644)
        file.write_bytes(spoilt)
        found += [f"{spoilt[:2000]!r}\n{told}" for told in tracebacks(*lines)]
    file.chmod(0o644)
    file.write_bytes(text)
    file.chmod(mode)
    return found


@in_shares
def test_a_damaged_record_of_a_run_gives_no_traceback(run, share):
    folder = (run / "latest").resolve()
    contents = share(spoilings(folder / "run.json", 60, 1))
    found = damaged(folder / "run.json", contents, ["report", str(folder)])
    assert found == [], f"{len(found)} of {len(contents)}: {found[0]}"
    assert main(["report", str(folder)]) == 0


@in_shares
def test_a_damaged_manifest_gives_no_traceback(run, tmp_path, share):
    outputs = tmp_path / "outputs"
    shutil.copytree(run, outputs, symlinks=True)
    store = Store(outputs / "store")
    at = f"store.path={store.root}"
    key = next(m.key for m in store.manifests() if m.component == "collect")
    lines = [
        ["store", verb, *([key[:12]] if verb == "show" else []), at]
        for verb in ("ls", "show", "verify")
    ]
    lines += [["report", str((outputs / "latest").resolve())]]
    manifest = store.place(key) / "manifest.json"
    for count, seed, verbs in ((30, 2, lines), (8, 4, [["plan", "recipe=sum", at]])):
        contents = share(spoilings(manifest, count, seed))
        found = damaged(manifest, contents, *verbs)
        assert found == [], f"{len(found)} of {len(contents)}: {found[0]}"


@pytest.mark.slow
def test_runs_go_on_beside_damaged_manifests_leases_and_digests(run, tmp_path):
    outputs = tmp_path / "outputs"
    shutil.copytree(run, outputs, symlinks=True)
    store = Store(outputs / "store")
    key = next(m.key for m in store.manifests() if m.component == "collect")
    again = ["recipe=sum", f"outputs={outputs}"]
    draw = random.Random(3)
    for file in (
        store.place(key) / "manifest.json",
        store.root / "digests.json",
        store.root / "scratch" / key / ".outside.json",
    ):
        for _ in range(4):
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                file.chmod(0o644)
            file.write_bytes(spoil(b'{"some": ["thing", 1]}', draw))
            assert tracebacks(again) == []
    assert store.verify(key) == ""
    for _ in range(4):
        shutil.rmtree(store.place(key))
        lease = store.root / "leases" / key
        lease.parent.mkdir(parents=True, exist_ok=True)
        lease.write_bytes(spoil(b"filelock/2\npid=1\nhost=x\nmode=lease\n", draw)[:5000])
        assert tracebacks(again) == []
        assert store.verify(key) == ""

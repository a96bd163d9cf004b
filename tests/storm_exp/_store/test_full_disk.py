"""Disks that are really full: small file systems in a mount namespace of one's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ALONE = ["unshare", "--user", "--map-root-user", "--mount"]
MOUNT = "mount -t tmpfs tmpfs"

pytestmark = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run(
        [*ALONE, *MOUNT.split(), "/mnt"], check=False, capture_output=True
    ).returncode,
    reason="this machine allows no mounts of one's own",
)

SCRIPT = """
import contextlib, io, json, subprocess, sys, traceback
from pathlib import Path
from storm_exp.__main__ import main
from storm_exp._run.record import RunRecord
from storm_exp._store.store import Store

def call(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = main(list(words))
        except BaseException:
            code = -1
            traceback.print_exc()
    return code, out.getvalue()

def resize(kilobytes, *more):
    subprocess.run(["mount", *more, "-o", f"size={kilobytes}k", "tmpfs", str(disk)], check=True)

base, results = Path(sys.argv[1]), []
sizes, words = json.loads(sys.argv[2]), sys.argv[3:]
for number, kilobytes in enumerate(sizes):
    disk = base / f"disk-{number}"
    disk.mkdir()
    resize(kilobytes, "-t", "tmpfs")
    recipe = ["recipe=sum", *(w.replace("DISK", str(disk)) for w in words)]
    code, said = call(*recipe)
    roots = [w.partition("=")[2] for w in recipe if w.startswith("store.path=")]
    store = Store(Path(roots[0] if roots else f"{disk}/outputs/store"))
    wrong = [problem for key in store.keys() if (problem := store.verify(key))]
    published = {key: store.place(key).stat().st_ino for key in store.keys()}
    resize(20_000, "-o", "remount")
    again, more = call(*recipe)
    kept = all(store.place(k).stat().st_ino == inode for k, inode in published.items())
    latest = (disk / "outputs/latest").resolve()
    digests = sorted(s.digest for s in RunRecord.read(latest).stages()) if again == 0 else []
    results.append([kilobytes, code, said, wrong, again, more, kept, digests])
    subprocess.run(["umount", str(disk)], check=True)
print(json.dumps(results))
"""


def fill(folder: Path, sizes: list[int], *words: str) -> list[list[object]]:
    """Run a recipe on disks of these kilobytes, and again when there is room."""
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", SCRIPT, str(folder), json.dumps(sizes), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check(results: list[list[object]]) -> list[str]:
    """Check that nothing half-made was published or remade; return what the full disks said."""
    texts = []
    for kilobytes, code, said, wrong, again, more, kept, digests in results:
        assert code in (0, 1), (kilobytes, said)
        assert "Traceback" not in str(said) + str(more)
        assert wrong == [], kilobytes
        assert again == 0, (kilobytes, more)
        assert kept, f"{kilobytes}: something published was made again"
        assert digests == results[-1][-1]
        texts += [str(said)] if code else []
    return texts


def test_eight_sizes_of_a_full_disk_publish_nothing_half_made(tmp_path):
    results = fill(tmp_path, [4, 8, 16, 24, 36, 60, 100, 200], "outputs=DISK/outputs")
    texts = check(results)
    assert len(results) == 8
    assert len(texts) >= 6
    for text in texts:
        assert "No space left on device" in text
        assert str(tmp_path / "disk-") in text, text


def test_a_full_disk_under_outputs_alone_keeps_what_was_made_and_names_the_path(tmp_path):
    sizes = [4, 8, 16, 20, 24, 40]
    words = ("outputs=DISK/outputs", f"store.path={tmp_path}/store")
    results = fill(tmp_path, sizes, *words)
    texts = check(results)
    assert len(texts) >= 3
    for text in texts:
        assert f"cannot write {tmp_path}/disk-" in text, text
        assert "No space left on device" in text

"""A user's own program ends with the engine, and a rerun publishes what one program made."""

import signal
from pathlib import Path

import pytest

from end_to_end.workplace import Workplace
from storm_data.dataset import Dataset
from waiting import lives, until

PROGRAM = """
import json, os, pathlib, subprocess, sys, time

out, pids, waits = pathlib.Path(sys.argv[1]), pathlib.Path("pids"), pathlib.Path("waits")
pids.mkdir(exist_ok=True)
# What it starts in a session of its own, as torchrun does, and never waits for.
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
for pid in (os.getpid(), child.pid):
    (pids / str(pid)).touch()


def write(part):
    with (out / f"rows-{os.getpid()}.jsonl").open("a") as file:
        for number in range(10):
            text = f"{os.getpid()} {part} {number}"
            turns = [{"role": role, "content": text} for role in ("user", "assistant")]
            file.write(json.dumps({"messages": turns}) + "\\n")


write("first")
if waits.exists():
    waits.unlink()
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
write("second")
if "stays" in sys.argv:
    pathlib.Path("go").touch()
    time.sleep(2)
"""


@pytest.mark.parametrize(
    "end",
    [
        signal.SIGKILL,
        *(pytest.param(s, marks=pytest.mark.slow) for s in (signal.SIGTERM, signal.SIGINT)),
    ],
)
def test_a_rerun_after_the_engine_ended_has_one_programs_rows(tmp_path, end):
    place = Workplace(tmp_path / "place")
    (place.folder / "make.py").write_text(PROGRAM)
    (place.folder / "waits").touch()
    line = "dataset.line='python make.py {out} stays'"
    words = ("recipe=storm_own", "targets=[dataset]", "dataset=dataset_command", line)
    first = place.start(*words)
    until(lambda: (place.folder / "pids").exists() and not (place.folder / "waits").exists())
    pids = {int(file.name) for file in (place.folder / "pids").iterdir()}
    assert len(pids) == 2 and all(map(lives, pids))
    first.send_signal(end)
    first.communicate()
    if end == signal.SIGINT:
        assert not any(map(lives, pids)), "it was ended before the engine was"
    place.run(*words)
    until(lambda: not any(map(lives, pids)))
    (stage,) = place.stages()
    data = Dataset(Path(stage["directory"]))
    texts = [
        row["messages"][0]["content"]
        for split in ("train", "validation")
        for row in data.rows(split)
    ]
    assert len(texts) == 20
    assert len({text.split()[0] for text in texts}) == 1
    assert not {text.split()[0] for text in texts} & {str(pid) for pid in pids}
    assert not any(lives(file.name) for file in (place.folder / "pids").iterdir())

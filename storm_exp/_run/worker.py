"""A worker: `python -m storm_exp._run.worker FILE` runs the stage described by a stage file.

It is started by `storm_exp._run.worker_launcher`, alone or as one of several ranks under torchrun.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from storm_exp._contract.errors import StormError
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.runtime import Runtime
from storm_exp._contract.stage_context import StageContext
from storm_exp._contract.typed_json import build
from storm_exp._run.executor import check_output, memory_meter
from storm_exp._run.run import logging_to
from storm_exp._run.worker_launcher import FAILURE, OUTCOME, WATCHED
from storm_exp._store.artifact_maker import Maker
from storm_exp._store.store import Store

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def main(job: Path) -> int:
    """Run a stage file; return 0, or 1 after writing the error to a file beside it."""
    rank = int(os.environ.get("RANK", "0"))
    _end_with_the_launcher()
    if rank == 0:
        os.dup2(1, 2)
    try:
        with memory_meter() as peak:
            outcome = _run(json.loads(job.read_text(encoding="utf-8")), rank)
            text = json.dumps({"reported": outcome, "peak_memory": peak()})
        (job.parent / OUTCOME.format(rank)).write_text(text, encoding="utf-8")
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        _note(error, job.with_name(FAILURE), rank)
        return 1
    return 0


def _run(job: dict[str, Any], rank: int) -> dict[str, Any]:
    """Run the component; return what its stage reported."""
    plugins = load_plugins()
    component = plugins.component(job["component"])
    inputs: dict[str, Any] = {}
    for port, places in job["inputs"].items():
        opened = [plugins.component(made_by).output(Path(p), key) for made_by, p, key in places]
        inputs[port] = opened if component.ports[port].many else opened[0]
    directory, scratch, log = (Path(job[name]) for name in ("directory", "scratch", "log"))
    world = int(os.environ.get("WORLD_SIZE", "1"))
    stage = StageContext(
        job["name"], directory, scratch, Runtime(**job["runtime"]), log, rank, world
    )
    store = Store(Path(job["store"]))
    stage.keep_memo = Maker(store, stage.runtime, stage.log).memo
    settings = build(component.cls, job["settings"])
    with logging_to(log if rank == 0 else Path(os.devnull)):
        check_output(component, settings.run(stage, **inputs), stage)
    return stage.reported()


def _note(error: BaseException, file: Path, rank: int) -> None:
    """Write the error to a file, unless another worker failed first and caused it."""
    failure = {
        "error": type(error).__name__,
        "text": str(error),
        "setting": getattr(error, "setting", ""),
        "settings": dict(getattr(error, "settings", {})),
        "for_users": isinstance(error, StormError),
        "traceback": traceback.format_exc(),
    }
    draft = file.with_name(f".{file.name}.{rank}")
    draft.write_text(json.dumps(failure, default=str), encoding="utf-8")
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)


def _end_with_the_launcher() -> None:
    """End this process with its parent, or when the standard input held by the launcher ends."""
    if WATCHED not in os.environ:
        return

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

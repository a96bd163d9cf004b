"""Launching: a stage that needs several devices, or another Python, runs in worker processes.

The launching process keeps the lease and publishes; `storm_exp._run.worker` fills the folder. They
speak through a folder beside it: the stage file, what each worker came to, the first failure.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from storm_exp._contract.errors import StageError, StormError
from storm_exp._contract.plugins import load_plugins
from storm_exp._contract.runtime import Runtime
from storm_exp._contract.stage_context import StageContext
from storm_exp._plan.planned_artifact import PlannedArtifact

JOB, FAILURE, OUTCOME = "stage.json", "failure.json", "outcome-{}.json"
WATCHED = "STORM_EXP_WATCHED"
"""Tells workers that their standard input ends when the process that launched them does."""
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0
_FAREWELL_SECONDS = 60.0
"""How long workers may take to keep what they have, unless a second signal comes."""


class WorkerTraceback(Exception):
    """What happened in another process, as text: the cause of the error that is raised here."""


def wants_workers(settings: Any, runtime: Runtime) -> bool:
    """Return whether a component runs outside this process.

    It does when it has a setting `python` (the interpreter of another environment) that is not
    empty, or an attribute `distributed` that is true and there are several devices to use.
    """
    several = runtime.devices * runtime.nodes > 1 and getattr(settings, "distributed", False)
    return bool(several or getattr(settings, "python", ""))


def run_in_workers(
    node: PlannedArtifact, payloads: dict[str, Path], stage: StageContext, store: Path
) -> list[int]:
    """Fill `stage` in worker processes; return the peak memory of each in bytes.

    `payloads` tells where the inputs are, by key; `store` is where memos are kept. Whatever ends
    this call, Ctrl-C included, ends the workers; so does the end of this process. Raises what the
    first failing worker raised: an error of the same name and text, a StormError if it was one.
    """
    runtime = stage.runtime
    if not getattr(node.settings, "distributed", False):
        runtime = dataclasses.replace(runtime, devices=1, nodes=1)
    python = getattr(node.settings, "python", "") or sys.executable
    threads = max(1, runtime.thread_count() // runtime.devices)
    folder = stage.directory.with_name(f"{stage.directory.name}-workers")
    folder.mkdir()
    job = {
        "name": stage.name,
        "component": node.component.name,
        "settings": dataclasses.asdict(node.settings),
        "inputs": {
            port: [[n.component.name, str(payloads[n.key]), n.key] for n in nodes]
            for port, nodes in node.inputs.items()
        },
        "directory": str(stage.directory),
        "scratch": str(stage.scratch),
        "runtime": dataclasses.asdict(dataclasses.replace(runtime, threads=threads)),
        "store": str(store),
        "log": str(stage.log or os.devnull),
    }
    (folder / JOB).write_text(json.dumps(job, default=_plain), encoding="utf-8")
    words = _command(python, runtime, folder / JOB, node.key)
    if runtime.nodes > 1 and words[0] == python:  # which starts those of this node alone
        stage.say(f"waiting for the other nodes; run there: {' '.join(words)}")
    ours = stage.worker_environment() if python == sys.executable else dict(os.environ)
    environment = {**ours, "OMP_NUM_THREADS": str(threads), WATCHED: "1"}
    try:
        with (folder / "errors.txt").open("a+b") as errors:
            # Standard output is the screen, where worker 0 draws; what launchers say of
            # themselves, and the other workers, goes into the file.
            with subprocess.Popen(
                words,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=2,
                stderr=errors,
                start_new_session=True,
            ) as process:
                try:
                    while process.poll() is None and not (folder / FAILURE).exists():
                        stage.check()
                        time.sleep(_POLL_SECONDS)
                except KeyboardInterrupt:
                    # They may keep what they have, as a stage of this process would.
                    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                        os.killpg(process.pid, signal.SIGINT)
                        process.wait(_FAREWELL_SECONDS)
                    raise
                finally:
                    _end(process)
            return _read_outcomes(folder, process.returncode, errors, stage)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(python: str, runtime: Runtime, job: Path, key: str) -> list[str]:
    """Return the command line that starts the workers of a stage file."""
    worker = [python, "-m", "storm_exp._run.worker", str(job)]
    if runtime.devices * runtime.nodes == 1:
        return worker
    asked = load_plugins().hook
    words: list[str] | None = asked.storm_launcher(runtime=runtime, worker=worker, key=key)
    if words is None:
        raise StageError("no plugin can start several workers")
    return words


def _plain(value: Any) -> Any:
    return value.name


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what was launched, if it has not ended: the workers see their standard input end."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _read_outcomes(folder: Path, code: int, errors: IO[bytes], stage: StageContext) -> list[int]:
    """Take over what worker 0 reported; raise the failure, if there is one."""
    errors.seek(0)
    said = errors.read().decode("utf-8", "replace")
    if said and stage.log:
        with stage.log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(said)
    with contextlib.suppress(FileNotFoundError):
        failure = json.loads((folder / FAILURE).read_text(encoding="utf-8"))
        kind = StormError if failure["for_users"] else Exception
        told = {name: failure[name] for name in ("setting", "settings") if failure[name]}
        error = type(failure["error"], (kind,), told)(failure["text"])
        raise error from WorkerTraceback(failure["traceback"])
    outcomes = [
        json.loads((folder / OUTCOME.format(rank)).read_text(encoding="utf-8"))
        for rank in range(len(list(folder.glob(OUTCOME.format("*")))))
    ]
    if code or not outcomes:
        text = f"a worker ended without a word, for want of memory perhaps (exit code {code})"
        raise ChildProcessError(text) from WorkerTraceback(said)
    stage.take_over(outcomes[0]["reported"])
    return [outcome["peak_memory"] for outcome in outcomes]

"""Launching of worker processes, for stages that use several devices.

The launching process holds the lease and publishes; `storm_exp._run.worker` fills the folder. They
exchange files in a folder beside it: the stage file, the outcome of each worker, the first failure.
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
"""Environment variable: the worker's standard input ends when the launching process does."""
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 10.0
_FAREWELL_SECONDS = 60.0
"""Time in which interrupted workers may save their progress, unless a second signal comes."""


class WorkerTraceback(Exception):
    """Traceback of a worker as text, the cause of the error that is raised here."""


def needs_workers(settings: Any, runtime: Runtime) -> bool:
    """Return whether a component runs in other processes.

    It does if its attribute `distributed` is true and the runtime has several devices.
    """
    return bool(runtime.devices * runtime.nodes > 1 and getattr(settings, "distributed", False))


def run_in_workers(
    node: PlannedArtifact, payloads: dict[str, Path], stage: StageContext, store: Path
) -> list[int]:
    """Run a stage in worker processes; return the peak memory of each in bytes.

    `payloads` maps the keys of inputs to their directories; `store` is the root of the store, for
    memos. The workers end with this call, however it ends, and with this process. Raises an error
    with the name and text of the first worker's, which is a StormError if that was one.
    """
    runtime = stage.runtime
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
    (folder / JOB).write_text(json.dumps(job, default=lambda value: value.name), encoding="utf-8")
    command = _command(runtime, folder / JOB, node.key)
    if runtime.nodes > 1 and command[0] == sys.executable:  # starts those of this node alone
        stage.say(f"waiting for the other nodes; run there: {' '.join(command)}")
    environment = {**stage.worker_environment(), "OMP_NUM_THREADS": str(threads), WATCHED: "1"}
    try:
        with (folder / "errors.txt").open("a+b") as errors:
            # Worker 0 writes to standard output, which is the screen; messages of launchers and
            # of the other workers go into the file.
            with subprocess.Popen(
                command,
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
                    # They may save their progress, like a stage in this process.
                    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                        os.killpg(process.pid, signal.SIGINT)
                        process.wait(_FAREWELL_SECONDS)
                    raise
                finally:
                    _end(process)
            return _read_outcomes(folder, process.returncode, errors, stage)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command(runtime: Runtime, job: Path, key: str) -> list[str]:
    """Return the command that starts the workers of a stage file."""
    worker = [sys.executable, "-m", "storm_exp._run.worker", str(job)]
    hook = load_plugins().hook
    command: list[str] | None = hook.storm_launcher(runtime=runtime, worker=worker, key=key)
    if command is None:
        raise StageError("no plugin can start several workers")
    return command


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the launched processes, if necessary: the workers see their standard input end."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _read_outcomes(folder: Path, code: int, errors: IO[bytes], stage: StageContext) -> list[int]:
    """Adopt what worker 0 reported; raises the failure, if there is one."""
    errors.seek(0)
    output = errors.read().decode("utf-8", "replace")
    if output and stage.log:
        with stage.log.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(output)
    with contextlib.suppress(FileNotFoundError):
        failure = json.loads((folder / FAILURE).read_text(encoding="utf-8"))
        kind = StormError if failure["for_users"] else Exception
        about = {name: failure[name] for name in ("setting", "settings") if failure[name]}
        error = type(failure["error"], (kind,), about)(failure["text"])
        raise error from WorkerTraceback(failure["traceback"])
    outcomes = [
        json.loads((folder / OUTCOME.format(rank)).read_text(encoding="utf-8"))
        for rank in range(len(list(folder.glob(OUTCOME.format("*")))))
    ]
    if code or not outcomes:
        text = "a worker ended without an error message, perhaps for lack of memory"
        raise ChildProcessError(f"{text} (exit code {code})") from WorkerTraceback(output)
    stage.take_over(outcomes[0]["reported"])
    return [outcome["peak_memory"] for outcome in outcomes]

"""A Slurm of one node in a folder of its own: munged, slurmctld and slurmd."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from waiting import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "setpriv")
_CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=cpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Return why no Slurm can be started here, empty if one can."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    gone = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if gone:
        return f"{', '.join(gone)}: not installed (Debian: apt-get install slurm-wlm munge)"
    return "" if os.getuid() == 0 else "slurmd has to be started by root"


@contextlib.contextmanager
def slurm_cluster() -> Iterator[dict[str, str]]:
    """Yield the environment variables of a Slurm that is started here and ended again.

    Its programs end with this process, too. Raises RuntimeError if it does not come up.
    """
    # Not below a test's own folder, as the name of a socket is short.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, contextlib.ExitStack() as started:
        folder = Path(name)
        folder.chmod(0o711)
        for part in ("state", "spool"):
            (folder / part).mkdir()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        host = socket.gethostname().partition(".")[0]
        text = _CONFIGURATION.format(
            host=host, folder=folder, ports=_free_ports(2), cpus=os.cpu_count()
        )
        (folder / "slurm.conf").write_text(text, encoding="utf-8")
        variables = {"SLURM_CONF": str(folder / "slurm.conf")}
        environment = {**os.environ, **variables}
        environment["PATH"] = os.pathsep.join([environment["PATH"], "/usr/sbin", "/sbin"])

        def start(*command: str) -> None:
            with (folder / f"{command[0]}.out").open("w") as out:
                process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *command],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            started.callback(_end, process)

        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log"}
        options = [f"--{option}={folder}/munge.{file}" for option, file in files.items()]
        start("munged", "--foreground", f"--seed-file={folder}/munge.seed", *options)
        try:
            until((folder / "munge.socket").exists)
            start("slurmctld", "-D")
            start("slurmd", "-D", "-N", host)
            until(lambda: _is_idle(environment))
        except AssertionError as error:
            raise RuntimeError(_said(folder)) from error
        started.callback(_cancel, environment)
        yield variables


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _is_idle(environment: dict[str, str]) -> bool:
    return _ask(["sinfo", "--noheader", "--format=%T"], environment) == "idle"


def _ask(command: list[str], environment: dict[str, str]) -> str:
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return said.stdout.strip()


def _said(folder: Path) -> str:
    """Return what the programs wrote."""
    files = sorted([*folder.glob("*.out"), *folder.glob("*.log")])
    return "\n".join(f"{file.name}: {file.read_text(errors='replace')[-2000:]}" for file in files)


def _cancel(environment: dict[str, str]) -> None:
    """End all jobs, and wait until they have ended, as slurmd leaves their steps behind."""
    _ask(["scancel", "--user=root"], environment)
    until(lambda: not _ask(["squeue", "--noheader"], environment))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

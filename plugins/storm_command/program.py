"""A user's program: its command line, its inputs, and how it is run."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

from omegaconf import II

from storm_exp import FileDigests, InputError, SettingError, StageContext, setting
from storm_inference.programs.program import Program as GuardedProgram
from storm_inference.programs.program import last_lines

_POLL_SECONDS = 0.05
_TAIL = 15
"""Lines of a program's output that an error shows."""


@dataclasses.dataclass(kw_only=True)
class Program:
    """Settings and methods of components that run a program."""

    line: str = "???"
    """The command line, such as `python train.py --model {model} --data {data} --out {out}`."""

    reads: list[str] = setting([])
    """Files whose contents enter the key, such as the script and its configuration."""

    version: str = ""
    """Part of the key, to be changed when the program changes and the files in `reads` do not."""

    seed: int = II("seed")
    """What `{seed}` in the command line becomes."""

    places: ClassVar[tuple[str, ...]] = ()
    """The names that may stand in braces in `line`."""

    def __post_init__(self) -> None:
        """Check the names in braces; raises SettingError."""
        if "{out}" not in self.line:
            raise SettingError("line", self.line, "must contain {out}, the folder of the result")
        try:
            self._fill(dict.fromkeys(self.places, ""))
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join(f"{{{place}}}" for place in self.places)
            raise SettingError("line", self.line, f"may contain only {known} ({error})") from error

    def fingerprint(self, files: FileDigests) -> Any:
        """Return the digests of the files in `reads`."""
        missing = [name for name in self.reads if not Path(name).is_file()]
        if missing:
            raise SettingError("reads", missing[0], "there is no such file")
        return [files.digest(name) for name in self.reads]

    def check_program(self) -> None:
        """Raise SettingError where the program does not exist."""
        program = shlex.split(self.line)[0]
        if shutil.which(program) is None:
            raise SettingError("line", self.line, f"there is no program '{program}'")

    def execute(
        self,
        stage: StageContext,
        values: dict[str, str],
        lists: dict[str, Sequence[str]] | None = None,
    ) -> None:
        """Run the program; raises InputError with the end of its output when it fails.

        `values` replace their names; each element of `lists` is a separate argument. The program
        and its children end when this process does, in whatever way; until then no other process
        runs a program of the same stage.
        """
        several = {f"{{{name}}}": elements for name, elements in (lists or {}).items()}
        placeholders = {name: f"{{{name}}}" for name in lists or {}}
        arguments: list[str] = []
        for argument in self._fill({**values, "seed": str(self.seed), **placeholders}):
            arguments += several.get(argument, [argument])
        stage.say(" ".join(arguments))
        with _program_lock(stage) as lock, (stage.scratch / "program.log").open("w+b") as output:
            code = _run(arguments, stage, output, lock)
            if code != 0:
                tail = last_lines(output, _TAIL)
                raise InputError(f"the program ended with exit code {code}:\n{tail}")

    def _fill(self, values: dict[str, str]) -> list[str]:
        return [argument.format(**values) for argument in shlex.split(self.line)]


@contextlib.contextmanager
def _program_lock(stage: StageContext) -> Iterator[int]:
    """Wait until no program of an earlier attempt runs; yield a lock's file descriptor.

    The guardian inherits the lock, which is released when both processes have ended.
    """
    with (stage.scratch / "program.lock").open("wb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                stage.check()
                time.sleep(_POLL_SECONDS)
            except OSError:  # a file system without locks
                break
        yield file.fileno()


def _run(arguments: list[str], stage: StageContext, output: IO[bytes], lock: int) -> int:
    surroundings = stage.worker_environment()
    with GuardedProgram(arguments, output, environment=surroundings, lock=lock) as program:
        while program.poll() is None:
            stage.check()
            time.sleep(_POLL_SECONDS)
        return program.end()

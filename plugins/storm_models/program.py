"""A user's own program: its command line, what it reads, and how it is run."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import II

from storm_exp import InputError, SettingError, Stage, setting
from storm_exp.digest import FileDigests


@dataclasses.dataclass(kw_only=True)
class Program:
    """Settings of every component that runs a program; they inherit them."""

    line: str = "???"
    """The command line, such as `python train.py --model {model} --data {data} --out {out}`."""

    reads: list[str] = setting([])
    """Files whose contents belong to the key: the script, its configuration."""

    version: str = ""
    """Part of the key: change it when the program changes in a way that `reads` does not show."""

    seed: int = II("seed")

    places: ClassVar[tuple[str, ...]] = ()
    """What may stand in braces in `line`."""

    def __post_init__(self) -> None:
        """Check the places; raises SettingError."""
        if "{out}" not in self.line:
            raise SettingError("line", self.line, "must name {out}, where the result goes")
        try:
            self._fill(dict.fromkeys(self.places, ""))
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join(f"{{{place}}}" for place in self.places)
            raise SettingError("line", self.line, f"knows only {known} ({error})") from error

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
        self, stage: Stage, values: dict[str, str], lists: dict[str, Sequence[str]] | None = None
    ) -> None:
        """Run the program; raises InputError with the end of its output when it fails.

        `values` replace their places; of `lists`, each element is an argument of its own.
        """
        several = {f"{{{name}}}": elements for name, elements in (lists or {}).items()}
        kept = {name: f"{{{name}}}" for name in lists or {}}
        arguments: list[str] = []
        for argument in self._fill({**values, "seed": str(self.seed), **kept}):
            arguments += several.get(argument, [argument])
        stage.say(" ".join(arguments))
        done = subprocess.run(
            arguments,
            env=stage.worker_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            tail = "\n".join(done.stdout.splitlines()[-15:])
            raise InputError(f"the program ended with {done.returncode}:\n{tail}")

    def _fill(self, values: dict[str, str]) -> list[str]:
        return [argument.format(**values) for argument in shlex.split(self.line)]

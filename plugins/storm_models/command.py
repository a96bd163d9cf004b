"""The component `command`: a user's own program as a kept stage."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from omegaconf import II

from storm_data.dataset import Dataset
from storm_exp import InputError, SettingError, Stage, component, setting
from storm_exp.digest import FileDigests
from storm_models.checkpoint import Checkpoint, CheckpointForecast

_PLACES = ("model", "models", "data", "out", "scratch", "seed")


@component(("base_model", "finetuner", "merger", "compressor"), "command", version=1)
class Command:
    """Runs a program that leaves a checkpoint in `{out}`, and keeps what it made.

    The command line is split as a shell would, and run without one. In it, `{model}`, `{models}`
    (one argument each), `{data}`, `{out}`, `{scratch}` and `{seed}` are replaced by paths.
    """

    line: str = "???"
    """The command line, such as `python train.py --model {model} --data {data} --out {out}`."""

    reads: list[str] = setting([])
    """Files whose contents belong to the key: the script, its configuration."""

    version: str = ""
    """Part of the key: change it when the program changes in a way that `reads` does not show."""

    seed: int = II("seed")

    def __post_init__(self) -> None:
        """Check the placeholders."""
        if "{out}" not in self.line:
            raise SettingError("line", self.line, "must name {out}, where the checkpoint goes")
        try:
            self._fill(dict.fromkeys(_PLACES, ""))
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join(f"{{{place}}}" for place in _PLACES)
            raise SettingError("line", self.line, f"knows only {known} ({error})") from error

    def fingerprint(self, files: FileDigests) -> Any:
        """Return the digests of the files in `reads`."""
        missing = [name for name in self.reads if not Path(name).is_file()]
        if missing:
            raise SettingError("reads", missing[0], "there is no such file")
        return [files.digest(name) for name in self.reads]

    def forecast(self, **ports: Any) -> CheckpointForecast:
        """Check that the program exists; nothing is known of what it makes."""
        program = shlex.split(self.line)[0]
        if shutil.which(program) is None:
            raise SettingError("line", self.line, f"there is no program '{program}'")
        return CheckpointForecast()

    def run(
        self,
        stage: Stage,
        model: Checkpoint | None = None,
        models: list[Checkpoint] | None = None,
        data: Dataset | None = None,
    ) -> Checkpoint:
        """Run the program; raises InputError with the end of its output when it fails."""
        values = {
            "model": str(model.directory) if model else "",
            "data": str(data.directory) if data else "",
            "out": str(stage.directory),
            "scratch": str(stage.scratch),
            "seed": str(self.seed),
        }
        arguments = []
        for argument in self._fill({**values, "models": "{models}"}):
            if argument == "{models}":
                arguments += [str(each.directory) for each in models or []]
            else:
                arguments.append(argument)
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
        return Checkpoint(stage.directory)

    def _fill(self, values: dict[str, str]) -> list[str]:
        return [argument.format(**values) for argument in shlex.split(self.line)]

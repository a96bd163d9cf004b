"""A folder in which tests use the command line as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forked import ENVIRONMENT, Forked, command_line

STORM = [sys.executable, "-m", "storm_exp"]


class Workplace:
    """A folder in which the command line is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *arguments: str, before: Callable[[], None] | None = None) -> Forked:
        """Start a command line, offline and on one thread, after a call in its process."""
        return Forked(command_line, arguments, self.folder, before)

    def run(
        self,
        *arguments: str,
        code: int = 0,
        before: Callable[[], None] | None = None,
        **environment: str,
    ) -> str:
        """Run a command line and return what it said, given that it ends with `code`.

        With variables of the environment it runs in an interpreter of its own.
        """
        if environment:
            return self.run_interpreter(*arguments, code=code, **environment)
        process = self.start(*arguments, before=before)
        output, _ = process.communicate()
        assert process.returncode == code, output
        return output

    def run_interpreter(self, *arguments: str, code: int = 0, **environment: str) -> str:
        """Run a command line as a shell does; returns what it said."""
        done = subprocess.run(
            [*STORM, *arguments],
            cwd=self.folder,
            env={**os.environ, **ENVIRONMENT, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def stages(self, run: str = "latest") -> list[dict[str, Any]]:
        """The artifacts of a run, each once."""
        file = self.folder / "outputs" / run / "run.json"
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        return list({stage["key"]: stage for cell in cells for stage in cell["stages"]}.values())

    def made(self) -> Counter[str]:
        """How many artifacts of each stage the latest run made."""
        return Counter(s["stage"] for s in self.stages() if s["status"] == "made")

    def digests(self) -> dict[str, str]:
        """Digest of every payload of the latest run, by key."""
        return {stage["key"]: stage["digest"] for stage in self.stages()}

    def inodes(self) -> dict[str, int]:
        """Inode of every published file."""
        artifacts = self.folder / "outputs/store/artifacts"
        files = (f for f in artifacts.glob("??/*/**/*") if f.is_file())
        return {str(f): f.stat().st_ino for f in files if ".partial-" not in str(f)}

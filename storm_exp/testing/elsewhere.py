"""A component in an interpreter of its own: planned, to see what that imports, and run again.

`python -m storm_exp.testing.elsewhere FILE` is the other side. The two speak through FILE, a pickle
of what is to be done, and a JSON beside it that says what came of it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from storm_exp.testing.stage import make_stage, plan_component, specs_of


@dataclasses.dataclass
class Outcome:
    """What came of a component in another interpreter."""

    imported: str = ""
    """Heavy packages that planning imported, with the lines that did; empty if none."""
    error: str = ""
    """What failed, and how; empty if nothing."""


def plan_elsewhere(
    settings: Any, given: dict[str, Any], folder: Path, heavy: Sequence[str], again: str
) -> Outcome:
    """Plan a component in an interpreter of its own, and run it in the stage `again` of a folder.

    An empty name runs nothing.
    """
    file = folder / "elsewhere.pickle"
    # Two pickles: what is made of the second can be watched, when the first has said for what.
    try:
        inner = pickle.dumps((settings, given, specs_of(given)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return Outcome(error=f"settings or inputs cannot be pickled ({error})")
    file.write_bytes(pickle.dumps((inner, tuple(heavy), str(folder), again)))
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "storm_exp.testing.elsewhere", str(file)],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = file.with_suffix(".json")
    if not answer.is_file():
        return Outcome(error=f"the interpreter ended: {done.stderr.strip()[-2000:]}")
    return Outcome(**json.loads(answer.read_text(encoding="utf-8")))


class ImportWatch:
    """Notes which line of code asked first for each of some packages; imports nothing itself."""

    def __init__(self, packages: Sequence[str]) -> None:
        """Watch for these top-level names."""
        self._packages = packages
        self._asked: dict[str, str] = {}

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Note who asks; leave the finding to others."""
        if name in self._packages and name not in self._asked:
            frame = sys._getframe(1)
            while frame.f_back and "importlib" in frame.f_code.co_filename:
                frame = frame.f_back
            self._asked[name] = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        return None

    def imported(self) -> str:
        """Return the packages that were imported, with who asked for them."""
        return ", ".join(f"{n} ({where})" for n, where in self._asked.items() if n in sys.modules)


def main(file: Path) -> None:
    """Do what a file says and write the outcome beside it."""
    inner, heavy, folder, again = pickle.loads(file.read_bytes())
    watch, outcome, doing = ImportWatch(heavy), Outcome(), "importing and planning it"
    sys.meta_path.insert(0, watch)
    try:
        settings, given, specs = pickle.loads(inner)
        plan_component(settings, specs, Path(folder))
        outcome.imported = watch.imported()
        doing = "running it"
        if again:
            settings.run(make_stage(Path(folder), again), **given)
    except BaseException as error:
        outcome.error = f"{doing} failed with {type(error).__name__}: {error}"
    text = json.dumps(dataclasses.asdict(outcome))
    file.with_suffix(".json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

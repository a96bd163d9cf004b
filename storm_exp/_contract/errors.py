"""What a user can mend. The command line prints these without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class StormError(Exception):
    """Root of every error whose message is meant for the user of a recipe."""

    settings: Mapping[str, object] = {}
    """Settings that brought it about, with their values: what the message should say, and leaves to
    whoever knows where they came from."""


class SettingError(StormError):
    """A setting of a component has a value that cannot work."""

    def __init__(self, setting: str, value: object, problem: str) -> None:
        """`setting` is the field's name; `problem` says what would be right."""
        super().__init__(f"{setting}={value!r}: {problem}")
        self.setting = setting


class InputError(StormError):
    """A file, row or checkpoint that was given cannot be used."""

    def __init__(self, message: str, **settings: object) -> None:
        """`settings` of the stage are told with their values and origins, behind the message."""
        super().__init__(message)
        self.settings = settings


class ComposeError(StormError):
    """The configuration does not compose: an unknown key, option or value."""


class GraphError(StormError):
    """The recipe's graph does not fit its stages: a cycle, a missing port, a wrong type."""


class PlanError(StormError):
    """What was planned cannot work; the message names the stage and the setting."""


class PluginError(StormError):
    """A plugin or component breaks the contract of the engine."""


class StoreError(StormError):
    """The store cannot be read or written."""


class StageError(StormError):
    """A stage failed while it ran; the cause is chained."""


class RunFolderError(StormError):
    """What a run has to say of itself cannot be written."""


GOES_ON = "goes on from what it had kept"
"""How the message of an interrupted stage ends that has kept what it had done."""


class Interrupted(KeyboardInterrupt):
    """A stage, or a run, was ended by a signal; the message says what is kept, and was shown."""

    code = 130
    """The exit code that says which signal: 130 for SIGINT, 143 for SIGTERM."""


@contextmanager
def strangers_code(what: str, *passing: type[BaseException]) -> Iterator[None]:
    """Have whatever the code of a plugin raises, SystemExit too, become a PluginError about `what`.

    Errors that are meant for users pass, Ctrl-C does, and what else is `passing`.
    """
    untouched: tuple[type[BaseException], ...] = (StormError, KeyboardInterrupt, *passing)
    try:
        yield
    except untouched:
        raise
    except BaseException as error:
        text = f"{what} failed with {type(error).__name__}: {error}"
        raise PluginError(f"{text} (STORM_EXP_TRACEBACK=1 shows where)") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Have an OSError name the path that could not be written; raises RunFolderError."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'X'?` for the nearest of `known`, else what there is."""
    names = sorted(set(known))
    near = [each for each in names if each.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; known are: {shown}"

"""Errors that a user can fix. The command line prints them without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from storm_exp._contract.setting_values import all_settings, plain


class StormError(Exception):
    """Base class of errors whose message is meant for the user of a recipe."""

    settings: Mapping[str, object] = {}
    """Settings that caused the error, with their values. Whoever knows where they were set adds
    them to the message."""


class SettingError(StormError):
    """A setting of a component has a value that cannot work."""

    def __init__(self, setting: str, value: object, problem: str) -> None:
        """`setting` is the field's name; `problem` tells what is allowed."""
        super().__init__(f"{setting}={plain(value, all_settings)!r}: {problem}")
        self.setting = setting


class InputError(StormError):
    """A given file, row or checkpoint cannot be used."""

    def __init__(self, message: str, **settings: object) -> None:
        """`settings` of the stage are appended to the message with their values and origins."""
        super().__init__(message)
        self.settings = settings


class ComposeError(StormError):
    """The configuration cannot be composed: an unknown key, option or value."""


class GraphError(StormError):
    """The recipe's graph does not fit its stages: a cycle, a missing port, a wrong type."""


class PlanError(StormError):
    """A planned stage cannot work; the message names the stage and the setting."""


class PluginError(StormError):
    """A plugin or component violates the contract of the engine."""


class StoreError(StormError):
    """The store cannot be read or written."""


class StageError(StormError):
    """A stage failed while it ran; the cause is chained."""


class RunFolderError(StormError):
    """The folder of a run, or a file in it, cannot be written."""


GOES_ON = "continues from its saved progress"
"""End of the message about an interrupted stage whose progress was saved."""


class Interrupted(KeyboardInterrupt):
    """A stage or a run was ended by a signal; its message has been printed."""

    code = 130
    """Exit code for the signal: 130 for SIGINT, 143 for SIGTERM."""


@contextmanager
def plugin_code(what: str, *passing: type[BaseException]) -> Iterator[None]:
    """Convert whatever plugin code raises, SystemExit included, into a PluginError about `what`.

    StormErrors, KeyboardInterrupt and the types in `passing` are not converted.
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
    """Convert an OSError into a RunFolderError that names the path."""
    try:
        yield
    except OSError as error:
        raise RunFolderError(f"cannot write {path}: {error.strerror or error}") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'X'?` for the nearest of `known`, else a list of what is known."""
    names = sorted(set(known))
    near = [each for each in names if each.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"; did you mean '{near[0]}'?"
    if not names:
        return ""
    shown = ", ".join(names[:50]) + (", …" if len(names) > 50 else "")
    return f"; known are: {shown}"

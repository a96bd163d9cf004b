"""Where a run was made and where it is made again: machine, threads, versions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from storm_exp import load_plugins
from storm_report.counted import counted
from storm_report.environment import required_names

_MACHINE = ("platform", "processor", "cores", "threads", "memory", "python")
_SHOWN = 12
"""The most lines on packages and machine."""


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that was different."""

    name: str
    then: str
    now: str
    required: bool = True
    """Whether this project or one of its plugins needs it, for the version of a package."""

    def line(self) -> str:
        """Return what was, and what is."""
        return f"{self.name}: {self.then or 'none'} → {self.now or 'none'}"


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[Difference]:
    """Return what differs between two environments, as far as both are recorded."""
    found = [
        Difference(name, str(then[name]), str(now[name]))
        for name in _MACHINE
        if name in then and name in now and then[name] != now[name]
    ]
    found += _commits(then.get("git") or {}, now.get("git") or {})
    if "distributions" not in then or "distributions" not in now:
        return found
    versions, today = then["distributions"], now["distributions"]
    changed = [n for n in sorted(versions.keys() | today) if versions.get(n) != today.get(n)]
    needed = required_names() | {plugin.distribution for plugin in load_plugins().plugins}
    packages = [
        Difference(name, versions.get(name, ""), today.get(name, ""), required=name in needed)
        for name in changed
    ]
    return found + sorted(packages, key=lambda package: not package.required)


def lines(found: Sequence[Difference], recorded: bool) -> list[str]:
    """Return lines on an environment; packages that nothing here requires are only counted."""
    if not recorded:
        return ["environment  not recorded"]
    if not found:
        return ["environment  as it was"]
    needed = [each.line() for each in found if each.required]
    more = len(found) - len(needed)
    rest = [f"{counted(more, 'other package')} of another version (--json names them)"]
    named = needed[:_SHOWN] + ([f"{len(needed) - _SHOWN} more"] if len(needed) > _SHOWN else [])
    return [
        f"{'environment' if number == 0 else '':<11}  {line}"
        for number, line in enumerate(named + (rest if more else []))
    ]


def _commits(then: dict[str, str], now: dict[str, str]) -> list[Difference]:
    """Return what differs between the working directories, where both are checkouts."""
    if not then or not now:
        return []
    found = []
    if then["commit"] != now["commit"]:
        found.append(Difference("commit", then["commit"][:12], now["commit"][:12]))
    if then["diff"] != now["diff"]:
        texts = ["none" if not each["diff"] else "some" for each in (then, now)]
        other = "others" if texts == ["some", "some"] else texts[1]
        found.append(Difference("uncommitted changes", texts[0], other))
    return found

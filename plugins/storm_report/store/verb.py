"""The verb `store`."""

from __future__ import annotations

from collections.abc import Callable

from storm_exp import Store, StormError
from storm_report.store import contents, keeping, space
from storm_report.words import Words, read_words


def store(arguments: list[str]) -> int:
    """List what is kept and what needs it, and free space.

    usage: storm-exp store [ls | show KEY … | verify [KEY …] | du | gc [--to SIZE] | rm WHAT … |
           pin [RUN|KEY …] | unpin NAME … | why-kept RUN|KEY …]
           [--dry-run] [--json] [store.path=DIR] [outputs=DIR]

    ls         artifacts, the oldest first; show prints a manifest, verify hashes files again
    du         sizes, times of the last use, and which runs use what
    gc         removes what unfinished stages left to nobody; with --to, evicts what was not used
               for longest until the store has this size: what was built from it stays
    rm         evicts an artifact, or removes all scratch, failures, damaged, or unfinished
    pin        has nothing evicted that a run needs; without a name, lists the pins
    why-kept   what keeps an artifact from being evicted

    for example:
        storm-exp store du
        storm-exp store gc --to 20GB --dry-run
        storm-exp store pin latest
    """
    words = read_words("store", arguments, _FLAGS, "ls")
    opened = Store(words.store)
    if not opened.root.is_dir():
        raise StormError(f"there is no store at {opened.root}; give one with store.path=DIR")
    opened.check_format()
    return ACTIONS[words.action](opened, words)


ACTIONS: dict[str, Callable[[Store, Words], int]] = {
    "ls": contents.ls,
    "show": contents.show,
    "verify": contents.verify,
    "du": space.du,
    "gc": space.gc,
    "rm": space.rm,
    "pin": keeping.pin,
    "unpin": keeping.unpin,
    "why-kept": keeping.why_kept,
}
_FLAGS: dict[str, list[str]] = {
    **{action: [] for action in ACTIONS},
    "gc": ["--to=", "--dry-run"],
    "rm": ["--dry-run"],
}

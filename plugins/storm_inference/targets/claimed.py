"""Claims of verbs: what `chat`, `serve`, `push` and `look` use is not evicted meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from storm_exp import Store, claim
from storm_inference.targets.target import is_artifact, locate


@contextlib.contextmanager
def claimed(verb: str, store: Path, *words: str) -> Iterator[None]:
    """Keep the artifacts that words of a command line name from being evicted, as a run does.

    What they read is kept, too. A word is claimed before it is opened, so that what was evicted
    just before is noticed then. Words that name nothing in a store are left to who opens them.
    """
    keys: dict[Path, list[str]] = {}
    for word in words:
        located = locate(word, store)
        for place in _artifacts(located[1]) if located else ():
            keys.setdefault(place.parents[2], []).append(place.name)
    with contextlib.ExitStack() as stack:
        for root, named in keys.items():
            who = root / f"storm-exp {verb}, process {os.getpid()}"
            stack.enter_context(claim(Store(root), who, named))
        yield


def _artifacts(path: Path) -> list[Path]:
    """Return the artifact that holds a path, or those that a folder of a run leads to."""
    place = path.resolve()
    for each in (place, *place.parents):
        if is_artifact(each):
            return [each]
    links = path.rglob("*") if (path / "run.json").is_file() else path.glob("*")
    return [link.resolve() for link in links if link.is_symlink() and is_artifact(link.resolve())]

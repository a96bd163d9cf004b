"""By-products of artifacts outside a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from storm_exp import Artifact


class MemoFolder:
    """Keeps memos in a folder: the weights of a merge that is stored as a sum."""

    def __init__(self, folder: Path) -> None:
        """Keep memos in `folder`."""
        self._folder = folder

    def keeps(self, *artifacts: Artifact) -> bool:
        """Return True: memos of all artifacts are kept."""
        return True

    def memo(
        self,
        name: str,
        version: int,
        inputs: Mapping[str, Artifact | Sequence[Artifact]],
        fill: Callable[[Path], object],
    ) -> Path:
        """Return a new folder that `fill` has filled."""
        place = self._folder / name
        place.mkdir(parents=True)
        fill(place)
        return place

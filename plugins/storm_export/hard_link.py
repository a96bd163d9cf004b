"""Hard links to finished files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def hard_link(file: Path, target: Path) -> None:
    """Link `target` to a file: no disk space is taken, and deleting `file` leaves `target` intact.

    The file is copied where the file system cannot link it.
    """
    try:
        os.link(file.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)

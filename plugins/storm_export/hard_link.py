"""A second name for a finished file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def hard_link(file: Path, target: Path) -> None:
    """Give a file a second name, which takes no room and stays when the first one goes.

    Where there are no such names it is copied.
    """
    try:
        os.link(file.resolve(), target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, target)

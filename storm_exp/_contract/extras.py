"""Extras: the packages that parts of a distribution need, by name, and how they are installed."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit


def install_command(extra: str, distribution: str = "storm-exp") -> str:
    """Return the command that installs an extra of a distribution.

    For a checkout that is installed as editable it names the folder, as an index may have another
    version or none (PEP 610 says where an installed distribution came from).
    """
    target, option = distribution, ""
    found = next(iter(importlib.metadata.distributions(name=distribution)), None)
    known = json.loads((found and found.read_text("direct_url.json")) or "{}")
    if known.get("dir_info", {}).get("editable"):
        folder = Path(unquote(urlsplit(known["url"]).path))
        target, option = "." if folder == Path.cwd() else str(folder), "-e "
    return f"pip install {option}{shlex.quote(f'{target}[{extra}]')}"

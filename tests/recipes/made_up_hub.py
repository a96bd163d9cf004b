"""A server of the tests that a command line takes for the hub."""

from __future__ import annotations

import importlib
import os
from pathlib import Path


def take_for_the_hub(address: str, cache: Path) -> None:
    """Have this process ask `address` instead of the hub, and keep what it fetches in `cache`."""
    from huggingface_hub import constants

    os.environ |= {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(cache)}
    importlib.reload(constants)
    constants.DATASETS_SERVER_ENDPOINT = address

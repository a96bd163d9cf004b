"""What every test has in common."""

import signal
from typing import Any

from hydra._internal.hydra import Hydra
from hypothesis import settings

# A busy machine is no fault of the code, and the same commit tries the same examples.
settings.register_profile("suite", deadline=None, derandomize=True, database=None)
settings.load_profile("suite")

# A shell has its background jobs ignore Ctrl-C, and what tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ask_for_mode = Hydra.get_mode


def mode_of(hydra: Hydra, config_name: str, overrides: list[str]) -> Any:
    """Compose to learn `hydra.mode` only where something here may set it: half of the time."""
    if any(word.startswith(("sweep", "hydra.mode", "+hydra.mode")) for word in overrides):
        return ask_for_mode(hydra, config_name, overrides)
    return None


Hydra.get_mode = mode_of

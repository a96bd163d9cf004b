"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import re

from storm_exp import StormError

_UNITS = ("B", "kB", "MB", "GB", "TB")


def shown_size(size: int) -> str:
    """Return a size in the unit that leaves three digits, such as `1.24 GB`."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {_UNITS[unit]}"


def read_size(text: str) -> int:
    """Return the bytes of a size such as `20GB`, `1.5 TB` or `512MiB`; raises StormError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([kmgt]?)(i?)b)?", text.strip(), re.IGNORECASE)
    if match is None or (match[3] and not match[2]):
        raise StormError(f"'{text}' is no size: write, for example, 20GB, 1.5TB or 512MiB")
    power = "kmgt".find((match[2] or "").lower() or "-") + 1
    return round(float(match[1]) * float(1024 if match[3] else 1000) ** power)

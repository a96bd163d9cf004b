"""A weighted sum of checkpoints, stored in place of weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Self

from storm_exp import InputError
from storm_models.folder.files import SUM_FILE

_FORMAT, _RENAMED = 1, 2
"""Formats of the file; the second one has names of tensors, which programs that know only the first
must not overlook."""


@dataclasses.dataclass(frozen=True)
class LinearCombination:
    """Σ coefficient · parent for every tensor, each element rounded once to the tensor's dtype."""

    parents: list[str]
    """Keys of checkpoints in the store that holds the sum."""
    headers: dict[str, tuple[str, tuple[int, ...]]]
    """{tensor name: (safetensors dtype, shape)}"""
    coefficients: dict[str, list[float]]
    """{tensor name: a number per parent}"""
    names: dict[str, list[str | None]] = dataclasses.field(default_factory=dict)
    """{tensor name: its name in every parent, None in one that it is not made of}, of those that
    are not named the same in all parents: layers that moved, or a head that is an embedding."""

    def write(self, directory: Path) -> None:
        """Write the sum to its file in `directory`."""
        tensors = {
            name: {
                "dtype": dtype,
                "shape": list(shape),
                "coefficients": self.coefficients[name],
                **({"names": self.names[name]} if name in self.names else {}),
            }
            for name, (dtype, shape) in self.headers.items()
        }
        content = {
            "format": _RENAMED if self.names else _FORMAT,
            "parents": self.parents,
            "tensors": tensors,
        }
        text = json.dumps(content, separators=(",", ":")) + "\n"
        (directory / SUM_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """Return the sum in `directory`, None where there is none; raises InputError."""
        file = directory / SUM_FILE
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["format"] not in (_FORMAT, _RENAMED):
                raise InputError(f"{file}: written by another version (format {content['format']})")
            tensors = content["tensors"]
            return cls(
                content["parents"],
                {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in tensors.items()},
                {name: entry["coefficients"] for name, entry in tensors.items()},
                {name: entry["names"] for name, entry in tensors.items() if "names" in entry},
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not a weighted sum of checkpoints ({error!r})") from error

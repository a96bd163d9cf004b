"""A weighted sum of checkpoints, stored in place of weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Self

from storm_exp import InputError
from storm_models.folder.files import SUM_FILE

_FORMAT = 1


@dataclasses.dataclass(frozen=True)
class LinearCombination:
    """Σ coefficient · parent for every tensor, each element rounded once to the tensor's dtype."""

    parents: list[str]
    """Keys of checkpoints in the store that holds the sum."""
    headers: dict[str, tuple[str, tuple[int, ...]]]
    """{tensor name: (safetensors dtype, shape)}"""
    coefficients: dict[str, list[float]]
    """{tensor name: a number per parent}"""

    def write(self, directory: Path) -> None:
        """Write the sum to its file in `directory`."""
        tensors = {
            name: {"dtype": dtype, "shape": list(shape), "coefficients": self.coefficients[name]}
            for name, (dtype, shape) in self.headers.items()
        }
        content = {"format": _FORMAT, "parents": self.parents, "tensors": tensors}
        text = json.dumps(content, separators=(",", ":")) + "\n"
        (directory / SUM_FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """Return the sum in `directory`, None where there is none; raises InputError."""
        file = directory / SUM_FILE
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise InputError(f"{file}: written by another version (format {content['format']})")
            tensors = content["tensors"]
            return cls(
                content["parents"],
                {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in tensors.items()},
                {name: entry["coefficients"] for name, entry in tensors.items()},
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}: not a weighted sum of checkpoints ({error!r})") from error

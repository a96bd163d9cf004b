"""Name and tags of a run: for people who look for it; no key covers them."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from storm_exp._compose.provenance import Origins
from storm_exp._compose.type_errors import explain_type_error
from storm_exp._contract.errors import ComposeError

_LONGEST = 80


def read_run_names(config: DictConfig, origins: Origins) -> tuple[str, list[str]]:
    """Return the name (may be empty) and the tags of a run; raises ComposeError."""
    name, tags = (_select(config, path, origins) for path in ("name", "tags"))
    listed = list(tags) if isinstance(tags, ListConfig) else [] if tags is None else [tags]
    return (
        "" if name is None else _checked("name", name, origins),
        list(dict.fromkeys(_checked("tags", tag, origins) for tag in listed)),
    )


def _select(config: DictConfig, path: str, origins: Origins) -> Any:
    try:
        return OmegaConf.select(config, path)
    except OmegaConfBaseException as error:
        raise ComposeError(f"{explain_type_error(error, path)[1]} ({origins.of(path)})") from error


def _checked(path: str, value: Any, origins: Origins) -> str:
    text = str(value) if isinstance(value, str | int | float) else ""
    if len(text) <= _LONGEST and re.fullmatch(r"(?!latest$)\w[\w.+=@-]*", text):
        return text
    suggestion = re.sub(r"[^\w.+=@]+", "-", text).strip("-.+=@")[:_LONGEST]
    example = f", such as {path}={suggestion}" if suggestion not in ("", "latest") else ""
    raise ComposeError(
        f"{path}={value!r}: must be a word of at most {_LONGEST} letters, digits and . _ - + = @, "
        f"as folders are named by it, and not 'latest'{example} ({origins.of(path)})"
    )

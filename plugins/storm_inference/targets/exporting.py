"""The command that exports a model which was named on the command line."""

from __future__ import annotations

import shlex
from pathlib import Path

from storm_exp import Manifest
from storm_inference.targets.target import LATEST, Target
from storm_models.folder.files import SUM_FILE


def export_command(target: Target, exporter: str) -> str:
    """Return the command that makes an exporter's files of a target in Hugging Face layout.

    `exporter` is a stage of `recipe=export`: hub, gguf or ollama. For a merge that is stored as a
    sum without a run that wrote its weights, the command is preceded by how to write them.
    """
    path, first = target.path, ""
    if not (path / "config.json").is_file():
        path = target.place  # an artifact whose files are outside the store
    if (target.place / SUM_FILE).is_file():
        written = _written(target)
        path = written or LATEST / "STAGE"
        first = "" if written else "run the command of its cell by itself (runs show), then "
    return f"{first}storm-exp recipe=export {_override(str(path))} 'targets=[{exporter}]'"


def _override(path: str) -> str:
    """Return the override that sets the path, quoted for Hydra and for a shell as needed."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Quote, QuotedString
    from hydra.errors import HydraException

    word = f"base_model.path={path}"
    try:
        read = OverridesParser.create().parse_override(word).value()
    except HydraException:
        read = None
    if read != path:  # 007 is a number, and a comma separates the values of a sweep
        word = f"base_model.path={QuotedString(path, Quote.double).with_quotes()}"
    return shlex.quote(word)


def _written(target: Target) -> Path | None:
    """Return the stage of the latest run that links to the weights of a sum."""
    for link in sorted(LATEST.glob("*")):
        memo = Manifest.read(link.resolve())
        if memo and target.manifest and memo.inputs == {"model": [target.manifest.key]}:
            return link
    return None

"""The spec of a checkpoint: what is known without reading its weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from storm_exp import InputError, Spec
from storm_models.chat.chat_file import TemplateContext, check_tokens
from storm_models.chat.settings import ARGUMENTS, DATE, NONE, OWN, ChatSettings, families
from storm_models.families.model_config import ModelConfig
from storm_models.folder.tokenizer import FOLDERS


@dataclasses.dataclass(kw_only=True)
class CheckpointSpec(Spec):
    """What is known of a checkpoint from its config and file headers, or before it is made."""

    config: ModelConfig | None = None
    """The contents of config.json."""
    parameters: int | None = None
    """Number of stored parameters; a tied head counts once."""
    tokenizer: str | None = None
    """Digest of the tokens and their ids."""
    has_chat_template: bool | None = None
    chat_arguments: dict[str, Any] | None = None
    """Variables of the chat template besides the chat."""
    chat_date: str | None = None
    """The date that the chat template shows as today's."""
    shapes: str | None = None
    """Digest of all tensors' names and shapes; checkpoints with the same can be merged."""

    def agrees(self, field: str, planned: Any, made: Any) -> bool:
        """Return whether what was said of the config holds; a family adds its own defaults."""
        if field == "config":
            return _holds(planned, made)
        return super().agrees(field, planned, made)

    def summary(self) -> str:
        """Return, for example, `1,312,384 parameters, llama`."""
        kind = str((self.config or {}).get("model_type", ""))
        if self.parameters is None:
            return kind
        return f"{self.parameters:,} parameters, {kind}".rstrip(", ")

    def note_files(self, directory: Path) -> None:
        """Remember the folder of the tokenizer, with which prompts are checked while planning."""
        known = FOLDERS.get(self.tokenizer or "")
        # A folder in which a model was made has been renamed since.
        if self.tokenizer is not None and (known is None or not known.is_dir()):
            FOLDERS[self.tokenizer] = directory


def _holds(planned: Any, made: Any) -> bool:
    """Return whether all that is planned is so; objects that were made may say more."""
    if isinstance(planned, dict) and isinstance(made, dict):
        return all(name in made and _holds(planned[name], made[name]) for name in planned)
    return bool(planned == made)


def chat_spec(
    spec: CheckpointSpec, settings: ChatSettings, directory: Path | None = None
) -> CheckpointSpec:
    """Return the spec of a checkpoint after the settings were written to its files.

    `directory` is where its tokenizer is, if it exists already; then raises as `check_tokens`.
    """
    if directory is not None:
        check_tokens(directory, settings)
    section, has_template = settings.resolved(), spec.has_chat_template
    if section.template != OWN:
        has_template = section.template != NONE
    known = spec.chat_arguments is not None
    own = TemplateContext(
        spec.chat_arguments if spec.chat_arguments is not None else dict(ARGUMENTS),
        spec.chat_date or DATE,
    )
    context = own.with_settings(settings)
    return dataclasses.replace(
        spec,
        has_chat_template=has_template,
        chat_arguments=context.arguments if known else None,
        chat_date=context.date if known or section.date != OWN else None,
    )


def check_template(spec: CheckpointSpec, purpose: str) -> None:
    """Raise InputError, saying what to set, for a model without a chat template."""
    if spec.has_chat_template is False:
        raise InputError(
            f"the model has no chat template, and {purpose}: set chat.template=chatml for every "
            "model of the recipe, or base_model.chat.template=… for the one it comes from (a "
            f"family: {', '.join(families())}, or a .jinja file)"
        )


def shapes_digest(shapes: dict[str, tuple[int, ...]]) -> str:
    """Return a digest of names and shapes, independent of order and dtype."""
    text = json.dumps({name: list(shapes[name]) for name in sorted(shapes)})
    return hashlib.sha256(text.encode()).hexdigest()


def readable_count(number: float) -> str:
    """Return 1300000 as `1.3 M`."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if number >= size:
            return f"{number / size:.2f} {unit}".replace(".00 ", " ")
    return str(int(number))

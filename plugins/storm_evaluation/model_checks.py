"""What every evaluator asks of a model before it runs: room, files that can be read, a template."""

from __future__ import annotations

import importlib.util
from typing import NoReturn

from storm_exp import InputError, SettingError, install_command
from storm_models.checkpoint.spec import CheckpointSpec


def check_model(model: CheckpointSpec, max_length: int | None) -> int | None:
    """Return the most tokens of a prompt and its answer, None where the config is unknown.

    Raises SettingError for more than the model has positions, InputError for a model whose files
    need a package that is missing.
    """
    config = model.config or {}
    positions = config.get("max_position_embeddings")
    positions = positions if isinstance(positions, int) else None
    if max_length is not None and positions is not None and max_length > positions:
        raise SettingError("max_length", max_length, f"the model has {positions} positions")
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method == "compressed-tensors" and importlib.util.find_spec("compressed_tensors") is None:
        raise InputError(
            "the model is stored as compressed-tensors, and the package compressed_tensors is "
            f"missing: {install_command('fp8')}"
        )
    return max_length or positions


def refuse_template(task: str) -> NoReturn:
    """Raise SettingError: the chat template is to be applied and the model has none."""
    name = f"by_task.apply_chat_template.{task}" if task else "apply_chat_template"
    raise SettingError(
        name,
        True,
        "the model has no chat template: set this to false, or chat.template=chatml for every "
        "model of the recipe, or base_model.chat.template=… for the one it comes from",
    )

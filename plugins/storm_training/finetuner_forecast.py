"""What a fine-tuned checkpoint will be, and what can be known to fail."""

from __future__ import annotations

import dataclasses

from storm_data.dataset import DatasetForecast
from storm_exp import InputError
from storm_models.checkpoint import CheckpointForecast


def forecast_finetuned(model: CheckpointForecast, data: DatasetForecast) -> CheckpointForecast:
    """Return a forecast equal to the model's; raises InputError for what cannot be trained on."""
    if model.has_chat_template is False:
        raise InputError("the model's tokenizer has no chat template, so chats cannot be rendered")
    if data.splits is not None:
        most = data.splits.get("train", [0, 0])[1]
        if most == 0:
            raise InputError("the data set has no row in its split 'train'")
    if data.columns and "messages" not in data.columns:
        raise InputError(f"the data set has no column 'messages' (it has {data.columns})")
    return dataclasses.replace(model)

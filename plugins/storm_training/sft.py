"""Supervised fine-tuning of the whole model."""

from __future__ import annotations

from storm_data.dataset import Dataset, DatasetForecast
from storm_exp import Stage, component
from storm_models.checkpoint import Checkpoint, CheckpointForecast
from storm_training.finetuner_forecast import forecast_finetuned
from storm_training.settings import TrainingSettings


@component("finetuner", "sft", version=1, requires=("torch", "lightning"), extra="train")
class Sft(TrainingSettings):
    """Supervised fine-tuning: every tensor trains, on every turn of the assistant."""

    def forecast(self, model: CheckpointForecast, data: DatasetForecast) -> CheckpointForecast:
        """Forecast a checkpoint like `model`."""
        return forecast_finetuned(model, data)

    def run(self, stage: Stage, model: Checkpoint, data: Dataset) -> Checkpoint:
        """Train; weights keep the dtype that they have in `model`."""
        from storm_training.finetuning import finetune

        return finetune(stage, self, model, data, objective="sft", choose=set)

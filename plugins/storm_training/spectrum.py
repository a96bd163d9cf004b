"""Supervised fine-tuning of the matrices with the highest signal-to-noise ratio."""

from __future__ import annotations

from functools import partial

from storm_data.dataset import Dataset, DatasetForecast
from storm_exp import InputError, SettingError, Stage, component
from storm_models.checkpoint import Checkpoint, CheckpointForecast, shapes_digest
from storm_training.finetuner_forecast import forecast_finetuned
from storm_training.layer_table import LayerTable, LayerTableForecast
from storm_training.selection import spectrum_selection
from storm_training.settings import TrainingSettings


@component("finetuner", "spectrum", version=1, requires=("torch", "lightning"), extra="train")
class Spectrum(TrainingSettings):
    """Supervised fine-tuning of the most informative part of each module type (Spectrum).

    Everything else is frozen, and its bits are those of the model that came in.
    """

    fraction: float = 0.5
    """Share of the matrices of each module type that train, by signal-to-noise ratio."""
    embedding: bool = True
    """Train the embedding, as the reference does. A tied head trains with it."""
    head: bool = True
    """Train the head, as the reference does."""
    norms: bool = False
    """Train all norms. (Their ratios all tie, so they cannot be ranked.)"""

    def __post_init__(self) -> None:
        """Check the settings; raises SettingError."""
        super().__post_init__()
        self._require("fraction", 0 <= self.fraction <= 1, "must lie between 0 and 1")

    def forecast(
        self,
        model: CheckpointForecast,
        data: DatasetForecast,
        layers: LayerTableForecast,
    ) -> CheckpointForecast:
        """Forecast a checkpoint like `model`; raises InputError for another model's table."""
        _require_same_model(model.shapes, layers.shapes)
        if (model.config or {}).get("tie_word_embeddings") and self.embedding != self.head:
            problem = "the model's head is tied to its embedding: both train or neither"
            raise SettingError("head", self.head, problem)
        return forecast_finetuned(model, data)

    def run(self, stage: Stage, model: Checkpoint, data: Dataset, layers: LayerTable) -> Checkpoint:
        """Train; weights keep the dtype that they have in `model`."""
        from storm_training.finetuning import finetune

        shapes = {name: shape for name, (_, shape) in model.headers().items()}
        _require_same_model(shapes_digest(shapes), layers.shapes())
        modules = layers.modules()
        choose = partial(
            spectrum_selection,
            modules=modules,
            fraction=self.fraction,
            embedding=self.embedding,
            head=self.head,
            norms=self.norms,
        )
        ratios = {row["name"]: row["snr"] for row in modules}
        return finetune(
            stage, self, model, data, objective="spectrum", choose=choose, ratios=ratios
        )


def _require_same_model(model: str | None, table: str | None) -> None:
    if model is not None and table is not None and model != table:
        raise InputError("the table of layers belongs to a model with other tensors than this one")

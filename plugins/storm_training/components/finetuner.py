"""The common settings, spec and cost of the components that train a checkpoint on token sets."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import Self

from storm_exp import Cost, InputError, SettingError, install_command, setting
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.devices import has_gpu
from storm_models.estimate.hardware import Hardware
from storm_models.families.architecture import is_quantised, tensor_shapes
from storm_models.families.support import Use, check_family
from storm_training.components.cost import training_cost
from storm_training.data.token_set import TokenSetSpec
from storm_training.optim.interim import InterimSettings
from storm_training.trainable.layer_table import LayerTableSpec, require_same_model
from storm_training.trainable.selection import check_names
from storm_training.trainable.settings import Method, TrainableSettings


@dataclasses.dataclass(kw_only=True)
class Finetuner(InterimSettings):
    """Base of the fine-tuners: a subclass chooses the objective, `trainable` the parameters."""

    distributed = True

    trainable: TrainableSettings = setting(TrainableSettings)
    """Which parameters train."""

    def idle_ports(self) -> set[str]:
        """Return the port `layers`, unless Spectrum chooses by its table."""
        return set() if self.trainable.method == "spectrum" else {"layers"}

    def training_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        layers: LayerTableSpec | None,
        kinds: Sequence[str],
    ) -> CheckpointSpec:
        """Return a copy of the model's spec.

        Raises InputError for tokens of another tokenizer or kind, for a table of another model and
        for a quantised model, SettingError for a choice of parameters that the model lacks.
        """
        if tokens.kind and tokens.kind not in kinds:
            raise InputError(f"takes tokenised {' or '.join(kinds)}, not {tokens.kind}")
        if model.tokenizer and tokens.tokenizer and model.tokenizer != tokens.tokenizer:
            raise InputError("the tokens were made with another tokenizer than the model's")
        if is_quantised(model.config):
            raise InputError("the model is quantised; train it before it is compressed")
        check_family(model.config, Use.TRAIN)
        self._check_trainable(model, layers)
        return dataclasses.replace(model)

    def rehearsal(self) -> Self:
        """Return the component with few steps on short rows; without a GPU, qlora becomes lora."""
        trainable = self.trainable
        if trainable.method == "qlora" and not has_gpu():
            trainable = dataclasses.replace(trainable, method=Method.lora)
        if trainable.low_rank:
            trainable = dataclasses.replace(trainable, rank=min(trainable.rank, 16))
        return dataclasses.replace(super().rehearsal(), trainable=trainable)

    def not_rehearsed(self) -> list[str]:
        """Return the settings that a rehearsal on this machine does not exercise."""
        replaced = self.trainable.method == "qlora" and not has_gpu()
        return super().not_rehearsed() + ["trainable.method=qlora: lora stands in"] * replaced

    def cost(
        self,
        hardware: Hardware,
        model: CheckpointSpec,
        tokens: TokenSetSpec | None = None,
        teacher: CheckpointSpec | None = None,
    ) -> Cost | None:
        """Return the estimated cost of training; None for an unknown model family."""
        return training_cost(self, self.trainable, model, tokens, hardware, teacher)

    def _check_trainable(self, model: CheckpointSpec, layers: LayerTableSpec | None) -> None:
        trainable, config = self.trainable, model.config or {}
        if trainable.method == "spectrum":
            if layers is None:
                raise InputError(
                    "trainable.method=spectrum needs the port 'layers': a scan of the model "
                    "(graph: layers: scanner)"
                )
            require_same_model(model.shapes, layers.shapes)
            if config.get("tie_word_embeddings") and trainable.embedding != trainable.head:
                problem = "the model's head is tied to its embedding: both train or neither"
                raise SettingError("trainable.head", trainable.head, problem)
        depth = config.get("num_hidden_layers")
        if trainable.method == "last_layers" and depth and trainable.layers > depth:
            problem = f"the model has {depth} layers"
            raise SettingError("trainable.layers", trainable.layers, problem)
        shapes = tensor_shapes(config) if trainable.names or trainable.modules else None
        if shapes is not None:
            check_names(trainable, shapes)
        if trainable.method == "qlora" and importlib.util.find_spec("bitsandbytes") is None:
            problem = f"needs bitsandbytes and a GPU; {install_command('gpu')}"
            raise SettingError("trainable.method", trainable.method, problem)

"""What every component has in common that trains a checkpoint on token sets."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import Self

from storm_exp import Cost, InputError, SettingError, setting
from storm_models.checkpoint.spec import CheckpointSpec
from storm_models.devices import has_gpu
from storm_models.estimate.hardware import Hardware
from storm_models.families.architecture import is_quantised, tensor_shapes
from storm_models.families.support import Use, check_family
from storm_training.components.cost import training_cost
from storm_training.data.token_set import TokenSetSpec
from storm_training.optim.rehearsal import few_steps
from storm_training.optim.settings import TrainingSettings
from storm_training.trainable.layer_table import LayerTableSpec, require_same_model
from storm_training.trainable.selection import check_names
from storm_training.trainable.settings import Method, TrainableSettings


@dataclasses.dataclass(kw_only=True)
class Finetuner(TrainingSettings):
    """Settings and spec of the objectives. What trains is a choice apart from them."""

    distributed = True

    trainable: TrainableSettings = setting(TrainableSettings)
    """What trains."""

    def idle_ports(self) -> set[str]:
        """Only Spectrum's choice looks at the table of layers."""
        return set() if self.trainable.method == "spectrum" else {"layers"}

    def training_spec(
        self,
        model: CheckpointSpec,
        tokens: TokenSetSpec,
        layers: LayerTableSpec | None,
        kinds: Sequence[str],
    ) -> CheckpointSpec:
        """Return a spec equal to the model's.

        Raises InputError for tokens of another tokenizer or kind and for a table of another
        model, SettingError for a choice of parameters that the model does not allow.
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
        """Return the same for a few steps on short rows; without a GPU, qlora becomes lora."""
        chosen = self.trainable
        if chosen.method == "qlora" and not has_gpu():
            chosen = dataclasses.replace(chosen, method=Method.lora)
        if chosen.low_rank:
            chosen = dataclasses.replace(chosen, rank=min(chosen.rank, 16))
        return dataclasses.replace(few_steps(self), trainable=chosen)

    def not_rehearsed(self) -> list[str]:
        """Return what a few steps on this machine do not show."""
        quantised = self.trainable.method == "qlora" and not has_gpu()
        return super().not_rehearsed() + ["trainable.method=qlora: lora stands in"] * quantised

    def cost(
        self,
        hardware: Hardware,
        model: CheckpointSpec,
        tokens: TokenSetSpec | None = None,
        teacher: CheckpointSpec | None = None,
    ) -> Cost | None:
        """Estimate what training takes."""
        return training_cost(self, self.trainable, model, tokens, hardware, teacher)

    def _check_trainable(self, model: CheckpointSpec, layers: LayerTableSpec | None) -> None:
        chosen, config = self.trainable, model.config or {}
        if chosen.method == "spectrum":
            if layers is None:
                raise InputError(
                    "trainable.method=spectrum needs the port 'layers': a scan of the model "
                    "(graph: layers: scanner)"
                )
            require_same_model(model.shapes, layers.shapes)
            if config.get("tie_word_embeddings") and chosen.embedding != chosen.head:
                problem = "the model's head is tied to its embedding: both train or neither"
                raise SettingError("trainable.head", chosen.head, problem)
        depth = config.get("num_hidden_layers")
        if chosen.method == "last_layers" and depth and chosen.layers > depth:
            problem = f"the model has {depth} layers"
            raise SettingError("trainable.layers", chosen.layers, problem)
        shapes = tensor_shapes(config) if chosen.names or chosen.modules else None
        if shapes is not None:
            check_names(chosen, shapes)
        if chosen.method == "qlora" and importlib.util.find_spec("bitsandbytes") is None:
            problem = "needs bitsandbytes and a GPU; pip install 'storm-exp[gpu]'"
            raise SettingError("trainable.method", chosen.method, problem)

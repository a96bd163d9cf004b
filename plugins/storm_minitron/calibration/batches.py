"""Calibration rows in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch

from storm_inference.calibration.samples import Sample
from storm_inference.prefix_tree import batches
from storm_minitron.calibration.settings import CalibrationSettings
from storm_models.families.model_config import ModelConfig
from storm_models.families.rope import short_context


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of equal width, padded on the right, where a causal model does not see the padding."""

    input_ids_RT: torch.Tensor
    counted_RT: torch.Tensor
    """True for tokens other than padding and repeated rows."""
    answer_RT: torch.Tensor
    """True for counted tokens that belong to an answer."""
    position_ids_RT: torch.Tensor | None = None
    """Positions that restart at padding, for models with other rotary factors for short rows; None:
    the index in the row."""

    def inputs(self) -> dict[str, torch.Tensor]:
        """Return the model's keyword arguments."""
        if self.position_ids_RT is None:
            return {"input_ids": self.input_ids_RT}
        return {"input_ids": self.input_ids_RT, "position_ids": self.position_ids_RT}


def make_batches(
    samples: Sequence[Sample], settings: CalibrationSettings, device: str, config: ModelConfig
) -> Iterator[Batch]:
    """Yield all rows once, in batches of the settings' shape, short rows first.

    `config` is the model's.
    """
    needs_positions = short_context(config) is not None
    sizes = [len(sample.input_ids) for sample in samples]
    for width, indices in batches(sizes, settings.batch_size, settings.pad_to_multiple_of):
        shape = (len(indices), width)
        input_ids = torch.zeros(shape, dtype=torch.long)
        counted, answer = (torch.zeros(shape, dtype=torch.bool) for _ in range(2))
        seen: set[int] = set()
        for row, index in enumerate(indices):
            sample = samples[index]
            input_ids[row, : len(sample.input_ids)] = torch.tensor(sample.input_ids)
            if index not in seen:
                counted[row, : len(sample.input_ids)] = True
                answer[row, : len(sample.input_ids)] = torch.tensor(sample.answer)
            seen.add(index)
        positions = None
        if needs_positions:
            lengths = torch.tensor([len(samples[index].input_ids) for index in indices])[:, None]
            columns = torch.arange(width).expand(shape)
            positions = torch.where(columns < lengths, columns, columns - lengths).to(device)
        yield Batch(input_ids.to(device), counted.to(device), answer.to(device), positions)

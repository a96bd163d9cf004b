"""Sums of squares of what linear layers read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.inference_mode()
def sum_squares(
    network: PreTrainedModel,
    layers: Mapping[str, str],
    rows: Sequence[list[int]],
    advance: Callable[[], None],
) -> dict[str, torch.Tensor]:
    """Return, for {name: linear layer's name}, the sum of squares of each input channel, fp64.

    `rows` are token ids, read one by one, without padding. `advance` is called after each.
    """
    device = network.device
    sums: dict[str, torch.Tensor] = {}

    def listen(name: str, layer: Any) -> Any:
        sums[name] = torch.zeros(layer.in_features, dtype=torch.float64, device=device)

        def add(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            values_TC = inputs[0].flatten(0, -2).float()
            sums[name] += values_TC.square().sum(dim=0, dtype=torch.float64)

        return layer.register_forward_pre_hook(add)

    with contextlib.ExitStack() as stack:
        for name, layer in layers.items():
            stack.callback(listen(name, network.get_submodule(layer)).remove)
        for row in rows:
            network.model(input_ids=torch.tensor([row], device=device), use_cache=False)
            advance()
    return {name: total.cpu() for name, total in sums.items()}

"""Importance from activations: what flows through a channel, a neuron or a head.

After Muralidharan et al. 2024 (arXiv 2407.14679): with activations a of a row b at its tokens s,

    importance(c) = sqrt( Σ_b ( mean_s |a[b, s, c]| )² )

that is, the mean over the sequence and the L2 norm over the batch. a is, for a hidden channel, the
output of the norms before attention and before the MLP (summed over these and over the layers);
for a neuron, the input of `down_proj`; for a head, the L2 norm over its channels of the input of
`o_proj`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from storm_minitron.calibration.samples import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def row_squares(values_RTC: torch.Tensor, counted_RT: torch.Tensor) -> torch.Tensor:
    """Return Σ over rows of (mean over counted tokens of |value|)², (C,) in fp64.

    A row without counted tokens adds nothing.
    """
    weights_RT = counted_RT.float() / counted_RT.sum(dim=1, keepdim=True).clamp(min=1)
    means_RC = torch.einsum("rtc,rt->rc", values_RTC.float().abs(), weights_RT)
    return means_RC.double().square().sum(dim=0)


@torch.inference_mode()
def measure(
    network: PreTrainedModel,
    head_dim: int,
    batches: Iterable[Batch],
    advance: Callable[[int], None] = lambda rows: None,
) -> dict[str, torch.Tensor]:
    """Return the importances of `channels` (hidden,), `neurons` (layers, inner) and `heads`.

    All of them in one pass over the batches; fp64, on the CPU. `advance` hears of rows.
    """
    sums: dict[tuple[str, int], torch.Tensor] = {}
    counted: list[torch.Tensor] = []

    def add(axis: str, place: int, values_RTC: torch.Tensor) -> None:
        squares = row_squares(values_RTC, counted[-1])
        sums[axis, place] = sums[axis, place] + squares if (axis, place) in sums else squares

    layers: Any = network.model.layers
    with contextlib.ExitStack() as stack:
        for index, layer in enumerate(layers):
            for handle in _listen(layer, index, head_dim, add):
                stack.callback(handle.remove)
        for batch in batches:
            counted.append(batch.counted_RT)
            network.model(**batch.inputs(), use_cache=False)
            counted.clear()
            advance(int(batch.counted_RT.any(dim=1).sum()))
    roots = {key: total.sqrt().cpu() for key, total in sums.items()}
    stacked = {
        axis: torch.stack([roots[axis, place] for of, place in sorted(roots) if of == axis])
        for axis in ("channels", "neurons", "heads")
    }
    return {**stacked, "channels": stacked["channels"].sum(dim=0)}


def _listen(
    layer: Any, index: int, head_dim: int, add: Callable[[str, int, torch.Tensor], None]
) -> list[Any]:
    """Register the hooks of a layer; returns their handles."""
    before_mlp = getattr(layer, "pre_feedforward_layernorm", layer.post_attention_layernorm)

    def heads(values_RTQ: torch.Tensor) -> torch.Tensor:
        norms: torch.Tensor = values_RTQ.float().unflatten(-1, (-1, head_dim)).norm(dim=-1)
        return norms

    return [
        layer.input_layernorm.register_forward_hook(
            lambda module, inputs, output: add("channels", 2 * index, output)
        ),
        before_mlp.register_forward_hook(
            lambda module, inputs, output: add("channels", 2 * index + 1, output)
        ),
        layer.mlp.down_proj.register_forward_pre_hook(
            lambda module, inputs: add("neurons", index, inputs[0])
        ),
        layer.self_attn.o_proj.register_forward_pre_hook(
            lambda module, inputs: add("heads", index, heads(inputs[0]))
        ),
    ]

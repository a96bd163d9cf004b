"""Importance of channels, neurons and heads from the magnitudes of their activations.

After Muralidharan et al. 2024 (arXiv 2407.14679), with activations a of row b at token s:

    importance(c) = sqrt( Σ_b ( mean_s |a[b, s, c]| )² )

that is, the mean over the sequence and the L2 norm over rows. For a hidden channel, a is the output
of the norms before attention and before the MLP, with importances summed over these and the layers;
for a neuron, the input of `down_proj`; for a head, the L2 norm of its channels in the input of
`o_proj`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from storm_minitron.calibration.batches import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def row_squares(values_RTC: torch.Tensor, counted_RT: torch.Tensor) -> torch.Tensor:
    """Return the sum over rows of (mean of |value| over counted tokens)², fp64 (C,).

    Rows without counted tokens add 0.
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
    """Return the importances: `channels` (hidden,), `neurons` (layers, inner), `heads` (layers, H).

    fp64 on the CPU, from one pass over the batches. `advance` is called with numbers of rows.
    """
    sums: dict[tuple[str, int], torch.Tensor] = {}
    counted: list[torch.Tensor] = []

    def add(axis: str, site: int, values_RTC: torch.Tensor) -> None:
        squares = row_squares(values_RTC, counted[-1])
        sums[axis, site] = sums[axis, site] + squares if (axis, site) in sums else squares

    layers: Any = network.model.layers
    with contextlib.ExitStack() as stack:
        for index, layer in enumerate(layers):
            for handle in _register_hooks(layer, index, head_dim, add):
                stack.callback(handle.remove)
        for batch in batches:
            counted.append(batch.counted_RT)
            network.model(**batch.inputs(), use_cache=False)
            counted.clear()
            advance(int(batch.counted_RT.any(dim=1).sum()))
    roots = {key: total.sqrt().cpu() for key, total in sums.items()}
    stacked = {
        axis: torch.stack([roots[key] for key in sorted(roots) if key[0] == axis])
        for axis in ("channels", "neurons", "heads")
    }
    return {**stacked, "channels": stacked["channels"].sum(dim=0)}


def _register_hooks(
    layer: Any, index: int, head_dim: int, add: Callable[[str, int, torch.Tensor], None]
) -> list[Any]:
    """Register the hooks of a layer, and return their handles."""
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

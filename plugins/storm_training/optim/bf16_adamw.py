"""AdamW for weights that are held in bf16, without a copy in fp32."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

_CHUNK = 1 << 16
_CHUNK_ON_DEVICES = 1 << 24


class BFloat16AdamW(torch.optim.Optimizer):
    """AdamW whose arithmetic is fp32 and whose weights are bf16, as Zamirai et al. (2020) study it.

    bf16 has 8 bits: added to a weight of 1, an update below 0.004 is lost when the sum is rounded
    to the nearest. `rounding` says what is done about it:

    - nearest: nothing.
    - stochastic: the sum is rounded up or down by chance, to the right value on average.
    - kahan: what rounding took off is kept, in bf16 too, and added the next time.

    The first moment is bf16, the second fp32: at a beta2 of 0.998 or more, its own steps would be
    lost. That makes 8 bytes for a weight and its state, 10 with kahan (fp32: 12).
    """

    def __init__(
        self,
        parameters: Iterable[torch.Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        rounding: str = "nearest",
        seed: int = 0,
    ) -> None:
        """Optimise `parameters`, bf16 tensors. `seed` decides stochastic rounding, step by step."""
        groups = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, groups)
        self._rounding, self._seed = rounding, seed

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step; returns what `closure`, called before it, returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        number = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group, number)
                number += 1
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned. (Torch alone would make the second moment bf16.)"""
        super().load_state_dict(state_dict)
        names = [name for group in state_dict["param_groups"] for name in group["params"]]
        parameters = [entry for group in self.param_groups for entry in group["params"]]
        for name, parameter in zip(names, parameters, strict=True):
            if name in state_dict["state"]:
                squares = state_dict["state"][name]["exp_avg_sq"]
                self.state[parameter]["exp_avg_sq"] = squares.to(parameter.device, copy=True)

    def _state(self, parameter: torch.Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter, dtype=torch.float32)
            if self._rounding == "kahan":
                state["compensation"] = torch.zeros_like(parameter)
        return state

    def _update(self, parameter: torch.Tensor, group: dict[str, Any], number: int) -> None:
        state = self._state(parameter)
        state["step"] += 1
        count = int(state["step"])
        beta1, beta2 = group["betas"]
        rate = group["lr"] / (1 - beta1**count)
        correction = math.sqrt(1 - beta2**count)
        noise = torch.Generator(parameter.device)
        noise.manual_seed(((self._seed * 1_000_003 + count) * 65_537 + number) % 2**63)
        kept = [state[name] for name in ("exp_avg", "exp_avg_sq", "compensation") if name in state]
        assert parameter.grad is not None
        for weight, gradient, first, second, *lost in _chunks(parameter, parameter.grad, *kept):
            gradient = gradient.float()
            mean = first.float().lerp_(gradient, 1 - beta1)
            first.copy_(mean)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            spread = second.sqrt().div_(correction).add_(group["eps"])
            exact = weight.float()
            if lost:
                exact += lost[0]
            exact.mul_(1 - group["lr"] * group["weight_decay"]).addcdiv_(mean, spread, value=-rate)
            by_chance = self._rounding == "stochastic"
            weight.copy_(stochastic_round(exact, noise) if by_chance else exact)
            if lost:
                lost[0].copy_(exact.sub_(weight))


def stochastic_round(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return finite fp32 `values` in bf16: one of the two neighbours, right on average.

    Noise in the bits that bf16 lacks carries into those it has, as often as it should.
    """
    noise = torch.empty(-(-values.numel() // 4), dtype=torch.int64, device=values.device)
    noise.random_(-(2**63), None, generator=generator)  # four numbers of 16 bits for one of 64
    lower = noise.view(torch.int16)[: values.numel()].view(values.shape).int() & 0xFFFF
    return values.view(torch.int32).add(lower).bitwise_and_(-0x10000).view(torch.float32).bfloat16()


def _chunks(*tensors: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Yield parts of equally shaped tensors, so that copies in fp32 stay small, and in a cache."""
    flat = [_local(tensor).view(-1) for tensor in tensors]
    size = _CHUNK if flat[0].device.type == "cpu" else _CHUNK_ON_DEVICES
    return map(list, zip(*(tensor.split(size) for tensor in flat), strict=True))


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """Return this rank's part of a DTensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor

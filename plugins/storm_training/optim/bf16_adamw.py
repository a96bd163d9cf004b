"""AdamW for bf16 weights, without an fp32 copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

_CHUNK = 1 << 16
_CHUNK_ON_DEVICES = 1 << 24


class BFloat16AdamW(torch.optim.Optimizer):
    """AdamW with fp32 arithmetic and bf16 weights, as studied by Zamirai et al. (2020).

    bf16 has 8 significant bits: added to a weight of 1, an update below 0.004 is lost when the sum
    is rounded to nearest. `rounding` chooses the remedy:

    - nearest: none.
    - stochastic: the sum is rounded up or down at random, with the right mean.
    - kahan: the rounding error is stored, also in bf16, and added in the next step.

    The first moment is bf16, the second fp32, because its own updates would be lost at a beta2 of
    0.998 or more. A weight and its state take 8 bytes, 10 with kahan (fp32: 12).
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
        """Optimise `parameters`, bf16 tensors; `seed` seeds stochastic rounding."""
        groups = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, groups)
        self._rounding, self._seed = rounding, seed

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take a step, and return the result of `closure`, which is called before it."""
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
        """Restore what `state_dict` returned; torch's own method would cast the second moment."""
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
        names = ("exp_avg", "exp_avg_sq", "compensation")
        buffers = [state[name] for name in names if name in state]
        assert parameter.grad is not None
        for weight, gradient, first, second, *error in _chunks(parameter, parameter.grad, *buffers):
            gradient = gradient.float()
            mean = first.float().lerp_(gradient, 1 - beta1)
            first.copy_(mean)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            spread = second.sqrt().div_(correction).add_(group["eps"])
            exact = weight.float()
            if error:
                exact += error[0]
            exact.mul_(1 - group["lr"] * group["weight_decay"]).addcdiv_(mean, spread, value=-rate)
            stochastic = self._rounding == "stochastic"
            weight.copy_(stochastic_round(exact, noise) if stochastic else exact)
            if error:
                error[0].copy_(exact.sub_(weight))


def stochastic_round(values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return finite fp32 `values` in bf16, rounded up or down with the right mean.

    Random numbers are added to the low 16 bits, which are then cut off.
    """
    noise = torch.empty(-(-values.numel() // 4), dtype=torch.int64, device=values.device)
    noise.random_(-(2**63), None, generator=generator)  # four 16-bit numbers in one of 64
    lower = noise.view(torch.int16)[: values.numel()].view(values.shape).int() & 0xFFFF
    return values.view(torch.int32).add(lower).bitwise_and_(-0x10000).view(torch.float32).bfloat16()


def _chunks(*tensors: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """Yield parts of equally shaped tensors, so that fp32 copies are small and fit the cache."""
    flat = [_local(tensor).view(-1) for tensor in tensors]
    size = _CHUNK if flat[0].device.type == "cpu" else _CHUNK_ON_DEVICES
    return map(list, zip(*(tensor.split(size) for tensor in flat), strict=True))


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """Return this rank's part of a DTensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor

"""A model's head, which turns hidden states into logits, and its gradients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from storm_exp import InputError

CHUNK_LOGITS = 1 << 25
"""Most logits of a chunk (128 MiB in fp32)."""
CACHED_LOGITS, MIN_POSITIONS = 1 << 21, 256
"""On a CPU, a chunk is what fits the cache, but has enough positions for a fast matrix product."""
_SAME = 0.02
"""Largest difference between logits, relative to the largest, that bf16 rounding can explain."""


class Head(NamedTuple):
    """logits = cap(scale · (hidden · weightᵀ + bias)); cap(x) = softcap · tanh(x / softcap)."""

    weight: torch.Tensor
    """[vocabulary, hidden]"""
    bias: torch.Tensor | None = None
    """[vocabulary]"""
    scale: float = 1.0
    softcap: float = 0.0
    """0 caps nothing."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> Head:
        """Return the head of a causal language model, as its architecture applies it.

        Gemma 2 caps its logits, Cohere multiplies and Granite divides them. Raises InputError for a
        head that is not a plain linear layer, such as one with a low-rank update.
        """
        module, config = model.get_output_embeddings(), model.config.get_text_config()
        if not isinstance(module, torch.nn.Linear):
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            raise InputError(
                f"the head of {type(model).__name__} is a {kind}, not a plain linear layer, whose "
                "weight the losses need (is it named in trainable.modules?)"
            )
        scale = float(getattr(config, "logit_scale", None) or 1.0)
        scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        softcap = float(getattr(config, "final_logit_softcapping", None) or 0.0)
        return cls(module.weight, getattr(module, "bias", None), scale, softcap)

    def detach(self) -> Head:
        """Return the head without gradients."""
        bias = None if self.bias is None else self.bias.detach()
        return self._replace(weight=self.weight.detach(), bias=bias)

    def to_compute(self, hidden: torch.Tensor) -> tuple[torch.Tensor, Head]:
        """Return hidden states and head in the dtype of their product: autocast's or `hidden`'s."""
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        return hidden.to(dtype), self._replace(weight=self.weight.to(dtype))

    def wide(self) -> torch.dtype:
        """Return the dtype of logits and of sums over them: fp64 for fp64, else fp32."""
        return torch.float64 if self.weight.dtype == torch.float64 else torch.float32

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return logits [n, vocabulary] in fp32 (fp64 for fp64) of hidden states [n, hidden]."""
        logits = (hidden @ self.weight.T).to(self.wide())
        if self.bias is not None:
            logits += self.bias.to(logits.dtype)
        if self.scale != 1.0:
            logits *= self.scale
        if self.softcap:
            logits = logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits

    def slope(self, logits: torch.Tensor) -> torch.Tensor | float:
        """Return the derivative of the logits with respect to hidden · weightᵀ + bias."""
        if not self.softcap:
            return self.scale
        return (1 - (logits / self.softcap).square()).mul_(self.scale)


def require_known_head(model: PreTrainedModel) -> None:
    """Raise InputError when a model's logits differ from those of `Head.of`.

    Tested with a forward pass, because an architecture may scale its logits under any name in its
    config (HyperCLOVA X multiplies by what Granite divides by).
    """
    embedding = model.get_input_embeddings().weight
    assert isinstance(embedding, torch.Tensor)
    tokens = torch.arange(5, device=embedding.device)[None]
    training = model.training
    model.eval()
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # not worth compiling
        states = model.get_decoder()(input_ids=tokens, use_cache=False).last_hidden_state[0]
        expected = model(input_ids=tokens, use_cache=False).logits[0].float()
        states, head = Head.of(model).to_compute(states)
        logits = head.logits(states)
    model.train(training)
    difference = float((logits - expected).abs().max() / expected.abs().max())
    if difference >= _SAME:  # NaN passes here, and is reported with the loss
        raise InputError(
            f"{type(model).__name__} cannot be trained: it changes its logits in a way that is not "
            f"known (they differ from its head's by {difference:.2g}, relative to the largest)"
        )


def chunks(count: int, width: int, device: torch.device) -> Iterator[slice]:
    """Yield slices of `count` positions that have few enough logits, `width` a position."""
    size = max(1, CHUNK_LOGITS // max(width, 1))
    if device.type == "cpu":
        size = min(size, max(MIN_POSITIONS, CACHED_LOGITS // max(width, 1)))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


class Gradients:
    """Gradients of hidden states and head, accumulated over chunks of the positions."""

    def __init__(self, hidden: torch.Tensor, head: Head, wanted: tuple[bool, bool, bool]) -> None:
        """`wanted` says whether hidden states, weight and bias need a gradient."""
        wide = head.wide()
        self._head, self._hidden = head, hidden
        self.hidden = torch.zeros_like(hidden) if wanted[0] else None
        self.weight = torch.zeros_like(head.weight, dtype=wide) if wanted[1] else None
        bias = head.bias if wanted[2] else None
        self.bias = None if bias is None else torch.zeros_like(bias, dtype=wide)

    def add(self, chunk: slice, grad_logits: torch.Tensor, slope: torch.Tensor | float) -> None:
        """Add a chunk's part, given the gradient of its logits, which is overwritten."""
        grad_product = grad_logits
        if isinstance(slope, torch.Tensor) or slope != 1.0:
            grad_product = grad_product.mul_(slope)
        if self.bias is not None:
            self.bias += grad_product.sum(0)
        narrow = grad_product.to(self._head.weight.dtype)
        if self.hidden is not None:
            torch.mm(narrow, self._head.weight, out=self.hidden[chunk])
        if self.weight is not None:
            if narrow.dtype == self.weight.dtype:
                self.weight.addmm_(narrow.T, self._hidden[chunk])
            else:
                self.weight += narrow.T @ self._hidden[chunk]

    def scaled(
        self, grad_output: torch.Tensor, dtypes: tuple[torch.dtype | None, ...]
    ) -> list[torch.Tensor | None]:
        """Return the gradients of hidden states, weight and bias times `grad_output`, in `dtypes`.

        Multiplies in place.
        """
        return [
            None if gradient is None else gradient.mul_(grad_output.to(gradient.dtype)).to(dtype)
            for gradient, dtype in zip((self.hidden, self.weight, self.bias), dtypes, strict=True)
        ]

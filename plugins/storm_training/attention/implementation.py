"""Which implementation of attention a model trains with, so that packed documents stay apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from transformers import PreTrainedModel

from storm_exp import InputError, SettingError
from storm_training.attention.documents import NAME as DOCUMENTS

_ISOLATED_LAYERS = {"full_attention", "sliding_attention"}
_NAMES = {"documents": DOCUMENTS, "flex": "flex_attention"}
_SAME = 1e-3
"""Share of the states by which they may differ: rounding of experts that see other tokens too."""


def choose_attention(wanted: str, model: PreTrainedModel, accelerator: str, precision: str) -> str:
    """Return the name by which transformers knows the implementation to train `model` with.

    `wanted` is the setting, `accelerator` cpu or gpu, `precision` as `choose_precision` returns
    it. `auto` computes each document by itself where the model's attention allows, else what is
    exact: sdpa, or, for capped scores (which sdpa leaves out without a word), flex on a GPU and
    eager on a CPU. Raises SettingError for a choice that would be wrong or cannot train here,
    InputError for a model whose layers carry state from one document to the next.
    """
    _require_isolated_layers(model)
    reasons = _reasons(model, accelerator, precision)
    if wanted != "auto":
        if reasons[wanted]:
            raise SettingError("attention", wanted, reasons[wanted])
        return _NAMES.get(wanted, str(wanted))
    order = ("documents", "sdpa", "flex", "eager")
    chosen = next(name for name in order if not reasons[name])
    return _NAMES.get(chosen, chosen)


def _require_isolated_layers(model: PreTrainedModel) -> None:
    kinds = set(getattr(model.config, "layer_types", None) or ())
    if kinds - _ISOLATED_LAYERS:
        found = ", ".join(sorted(kinds - _ISOLATED_LAYERS))
        raise InputError(f"rows are packed, and layers of type {found} would mix their documents")


def _reasons(model: PreTrainedModel, accelerator: str, precision: str) -> dict[str, str]:
    """Return for every implementation why it cannot be taken; empty when it can."""
    config = model.config
    capped = "the model caps its scores (attn_logit_softcapping)"
    capped = capped if getattr(config, "attn_logit_softcapping", None) else ""
    dropped = "has no dropout, and the model's attention_dropout is above 0"
    dropped = dropped if getattr(config, "attention_dropout", 0.0) else ""
    sinks = any(name.endswith("sinks") for name, _ in model.named_parameters())
    sinking = "the model's attention has sinks" if sinks else ""
    plain = "" if model._supports_attention_backend else "the model does not take it"
    limits = ""
    if accelerator == "gpu":  # those of FlashAttention
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        fits = precision != "32" and size % 8 == 0 and size <= 256
        limits = "" if fits else "on a GPU it needs bf16, and heads of 8, 16, ... 256 channels"
    return {
        "documents": plain or capped or sinking or dropped or limits,
        "sdpa": ("" if model._supports_sdpa else "the model does not take it") or capped,
        "flex": ("" if model._supports_flex_attn else "the model does not take it")
        or ("trains on GPUs only" if accelerator == "cpu" else "")
        or dropped,
        "eager": "",
    }


@contextlib.contextmanager
def attention(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """Let `model` compute attention by `implementation`, a name that transformers knows."""
    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@torch.no_grad()
def require_isolation(model: PreTrainedModel) -> None:
    """Raise InputError when a document in a packed row sees what stands in another.

    The model itself is asked, with two rows that differ in their first document alone: kernels,
    architectures and releases of transformers have traps that no list holds (gpt_oss and bloom
    mix documents in 5.17, silently).
    """
    embedding = model.get_input_embeddings().weight
    assert isinstance(embedding, torch.Tensor)
    device = embedding.device
    first, second = torch.arange(5, device=device), torch.arange(7, device=device)
    positions = torch.cat([first, second])[None]
    rows = [torch.cat([document, second + 5])[None] for document in (first, first.flip(0))]
    training, decoder = model.training, model.get_decoder()
    model.eval()
    with torch.compiler.set_stance("force_eager"):  # not worth compiling for
        one, other = (
            decoder(input_ids=row, position_ids=positions, use_cache=False).last_hidden_state[:, 5:]
            for row in rows
        )
    model.train(training)
    difference = float((one - other).abs().max() / one.abs().max())
    if not difference < _SAME:
        raise InputError(
            f"{type(model).__name__} cannot train on packed rows: under attention "
            f"{model.config._attn_implementation} a document sees the one before it "
            f"({difference:.2g} of its states)"
        )

"""The choice of an attention implementation that keeps the documents of a packed row apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from transformers import PreTrainedModel

from storm_exp import InputError, SettingError
from storm_training.attention.document_attention import NAME as DOCUMENTS

_ISOLATED_LAYERS = {"full_attention", "sliding_attention"}
_NAMES = {"documents": DOCUMENTS, "flex": "flex_attention"}
_SAME = 1e-3
"""Relative difference of hidden states that rounding explains, also that of mixtures of experts."""


def choose_attention(setting: str, model: PreTrainedModel, accelerator: str, precision: str) -> str:
    """Return the name, in transformers, of the attention implementation to train `model` with.

    `setting` is a value of the setting `attention`, `accelerator` cpu or gpu, `precision` what
    `choose_precision` returned. `auto` is documents if the model's attention allows it, else sdpa
    or, for models with soft-capped scores (which sdpa silently ignores), flex on a GPU and eager on
    a CPU. Raises SettingError for a choice that would be wrong or cannot train here, InputError
    for a model whose layers carry state from one document to the next.
    """
    _require_isolated_layers(model)
    problems = _problems(model, accelerator, precision)
    if setting != "auto":
        if problems[setting]:
            raise SettingError("attention", setting, problems[setting])
        return _NAMES.get(setting, str(setting))
    order = ("documents", "sdpa", "flex", "eager")
    name = next(name for name in order if not problems[name])
    return _NAMES.get(name, name)


def _require_isolated_layers(model: PreTrainedModel) -> None:
    kinds = set(getattr(model.config, "layer_types", None) or ())
    if kinds - _ISOLATED_LAYERS:
        names = ", ".join(sorted(kinds - _ISOLATED_LAYERS))
        raise InputError(f"rows are packed, and layers of type {names} would mix their documents")


def _problems(model: PreTrainedModel, accelerator: str, precision: str) -> dict[str, str]:
    """Return {implementation: why it cannot be used, empty when it can}."""
    config = model.config
    capped = "the model caps its scores (attn_logit_softcapping)"
    capped = capped if getattr(config, "attn_logit_softcapping", None) else ""
    dropped = "has no dropout, and the model's attention_dropout is above 0"
    dropped = dropped if getattr(config, "attention_dropout", 0.0) else ""
    sinks = any(name.endswith("sinks") for name, _ in model.named_parameters())
    sinking = "the model's attention has sinks" if sinks else ""
    unsupported = "the model does not support it"
    backend = "" if model._supports_attention_backend else unsupported
    flash = ""
    if accelerator == "gpu":
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        fits = precision != "float32" and size % 8 == 0 and size <= 256
        flash = "" if fits else "on a GPU it needs bf16, and a head_dim of 8, 16, ... 256"
    return {
        "documents": backend or capped or sinking or dropped or flash,
        "sdpa": ("" if model._supports_sdpa else unsupported) or capped,
        "flex": ("" if model._supports_flex_attn else unsupported)
        or ("trains on GPUs only" if accelerator == "cpu" else "")
        or dropped,
        "eager": "",
    }


@contextlib.contextmanager
def attention(model: PreTrainedModel, implementation: str) -> Iterator[None]:
    """Within, `model` computes attention with `implementation`, a name known to transformers."""
    before = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@torch.no_grad()
def require_isolation(model: PreTrainedModel) -> None:
    """Raise InputError when a document in a packed row attends to another.

    Tested with two forward passes on rows that differ only in their first document, because no list
    of kernels, architectures and releases of transformers could be complete (in 5.17, gpt_oss and
    bloom mix documents silently).
    """
    embedding = model.get_input_embeddings().weight
    assert isinstance(embedding, torch.Tensor)
    device = embedding.device
    first, second = torch.arange(5, device=device), torch.arange(7, device=device)
    positions = torch.cat([first, second])[None]
    rows = [torch.cat([document, second + 5])[None] for document in (first, first.flip(0))]
    training, decoder = model.training, model.get_decoder()
    model.eval()
    with torch.compiler.set_stance("force_eager"):  # not worth compiling
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

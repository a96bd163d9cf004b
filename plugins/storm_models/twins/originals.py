"""Published facts about the models that twins replace, where no files can be read.

Sources: config.json, generation_config.json and tokenizer_config.json of the repositories, as far
as a recipe depends on them. The templates were written for this project, in each family's format
and with its refusals.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from storm_exp import setting


@dataclasses.dataclass(kw_only=True)
class Original:
    """A repository's tokenizer and defaults, besides the sizes of its model."""

    tokenizer: str = "qwen2"
    """The kind of tokenizer: a key of `kinds.KINDS`."""
    template: str = ""
    """A chat template's name in `templates`; empty where the model has none."""
    eos: str = ""
    """The token that ends an answer, where it is not the kind's own."""
    padded: bool = False
    """Whether the embedding has more rows than the tokenizer has tokens."""
    config: dict[str, Any] = setting({})
    """Keys of config.json besides those that recipes expect."""
    generation: dict[str, Any] = setting({})
    """The contents of generation_config.json, without special tokens."""
    stops: list[str] = setting([])
    """All tokens that end an answer, where they are several."""


_LLAMA_3 = {
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    "rms_norm_eps": 1e-5,
}
_SAMPLED = {"do_sample": True, "temperature": 0.6, "top_p": 0.9}
_LLAMA_3_CHAT = {
    "tokenizer": "llama3",
    "template": "llama3",
    "eos": "<|eot_id|>",
    "stops": ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"],
    "config": _LLAMA_3,
    "generation": _SAMPLED,
}
_MISTRAL = {
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "sliding_window": 4096,
}

KNOWN: dict[str, dict[str, Any]] = {
    "meta-llama/Llama-3.1-8B": {
        "tokenizer": "llama3",
        "config": _LLAMA_3,
        "generation": _SAMPLED,
    },
    "meta-llama/Llama-3.1-8B-Instruct": _LLAMA_3_CHAT,
    "arcee-ai/Llama-Spark": _LLAMA_3_CHAT,
    "Qwen/Qwen2-7B-Instruct": {
        "tokenizer": "qwen2",
        "template": "chatml",
        "eos": "<|im_end|>",
        "stops": ["<|im_end|>", "<|endoftext|>"],
        "padded": True,
        "config": {
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1000000.0},
            "use_sliding_window": False,
        },
        "generation": {
            "do_sample": True,
            "temperature": 0.7,
            "top_p": 0.8,
            "top_k": 20,
            "repetition_penalty": 1.05,
        },
    },
    "google/gemma-2-9b-it": {
        "tokenizer": "gemma",
        "template": "gemma",
        "config": {
            "attn_logit_softcapping": 50.0,
            "final_logit_softcapping": 30.0,
            "query_pre_attn_scalar": 256,
            "sliding_window": 4096,
            "hidden_activation": "gelu_pytorch_tanh",
        },
    },
    "microsoft/Phi-3-mini-4k-instruct": {
        "tokenizer": "phi3",
        "template": "phi3",
        "stops": ["<|endoftext|>", "<|assistant|>", "<|end|>"],
        "padded": True,
        "config": {
            "rms_norm_eps": 1e-5,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "original_max_position_embeddings": 4096,
        },
    },
    "mistralai/Mistral-7B-v0.1": {"tokenizer": "llama2", "config": _MISTRAL},
    "mistralai/Mistral-7B-Instruct-v0.1": {
        "tokenizer": "llama2",
        "template": "mistral",
        "config": _MISTRAL,
    },
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": {
        "tokenizer": "llama2",
        "template": "zephyr",
        "config": {"rms_norm_eps": 1e-5},
    },
}

_BY_FAMILY = {
    "llama": ("llama2", "llama3"),
    "mistral": ("llama2", "mistral"),
    "mixtral": ("llama2", "mistral"),
    "gemma2": ("gemma", "gemma"),
    "gemma3_text": ("gemma", "gemma"),
    "phi3": ("phi3", "phi3"),
}
"""{model_type: (kind of tokenizer, chat template)} of models not in `KNOWN`."""
_CHATS = re.compile(r"(instruct|chat|assistant|tulu|dpo|sft|[-_.]it\b)", re.IGNORECASE)


def original_of(repo: str, config: dict[str, Any]) -> tuple[Original, bool]:
    """Return a repository's tokenizer and defaults, and whether they are known (True) or guessed.

    A guess takes them from the family, and the presence of a chat template from the name.
    """
    if repo in KNOWN:
        return Original(**KNOWN[repo]), True
    family = str(config.get("model_type"))
    kind, template = _BY_FAMILY.get(family, ("qwen2", "chatml"))
    if family == "llama" and config.get("vocab_size", 0) >= 128_000:
        return Original(
            **(_LLAMA_3_CHAT if _is_chat_model(repo) else KNOWN["meta-llama/Llama-3.1-8B"])
        ), (False)
    if family == "llama":
        template = "zephyr"
    eos = "<|im_end|>" if kind == "qwen2" and _is_chat_model(repo) else ""
    return Original(
        tokenizer=kind,
        template=template if _is_chat_model(repo) else "",
        eos=eos,
        padded=kind in ("qwen2", "phi3"),
    ), False


def _is_chat_model(repo: str) -> bool:
    return _CHATS.search(repo.partition("/")[2]) is not None

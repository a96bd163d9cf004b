"""Small real models for tests and benchmarks: random weights, a trained tokenizer, no hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.twins.library_docstrings import library_docstrings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


TURN_TOKENS = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")
TURNS = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BOS_AND_TURNS = "{{ bos_token }}" + TURNS


def make_model(
    folder: Path,
    *,
    family: str = "qwen2",
    hidden: int = 64,
    layers: int = 2,
    intermediate: int = 128,
    vocabulary: int = 512,
    seed: int = 0,
) -> Path:
    """Write a model of random weights in Hugging Face layout, with a byte-level BPE tokenizer.

    `family` is qwen2 or llama; attention heads have 32 channels, two share keys and values; qwen2
    ties its head. Returns the folder.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config

    tokenizer = make_tokenizer(vocabulary)
    torch.manual_seed(seed)
    config = {"qwen2": Qwen2Config, "llama": LlamaConfig}[family](
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 32,
        num_key_value_heads=max(1, hidden // 64),
        max_position_embeddings=2048,
        tie_word_embeddings=family == "qwen2",
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="bfloat16",
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(vocabulary: int = 512):  # type: ignore[no-untyped-def]
    """Return a ChatML tokenizer trained on docstrings (a PreTrainedTokenizerFast)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for _, text in library_docstrings()), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = CHATML
    return fast


def make_checkpoint(
    directory: Path,
    family: str = "llama",
    *,
    seed: int = 0,
    dtype: str = "bfloat16",
    extra_tokens: tuple[str, ...] = (),
    bos: str | None = None,
    adds_bos: bool = False,
    **sizes: Any,
) -> Checkpoint:
    """Save a random model with the tokenizer of `make_byte_tokenizer`; return it.

    `family` is a model_type of transformers (llama, mistral, qwen2, qwen3), `sizes` overrides
    its config (hidden 32, 2 layers, 4 heads of 8, 2 KV heads).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    template = TURNS if bos is None else BOS_AND_TURNS
    tokenizer = make_byte_tokenizer(extra_tokens, template=template, bos=bos, adds_bos=adds_bos)
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": 1,
    }
    config = AutoConfig.for_model(family, **{**settings, **sizes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return Checkpoint(directory)


def make_byte_tokenizer(
    extra_tokens: tuple[str, ...] = (),
    *,
    control_tokens: tuple[str, ...] = TURN_TOKENS,
    template: str | None = TURNS,
    bos: str | None = None,
    eos: str = "<|end|>",
    pad: str = "<|pad|>",
    adds_bos: bool = False,
) -> PreTrainedTokenizerFast:
    """Return a tokenizer of single bytes with tokens for the turns of a chat.

    `extra_tokens` are in its vocabulary and come of no text. `bos` is a further control token;
    with `adds_bos` it begins whatever is encoded.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    if bos is not None and bos not in control_tokens:
        control_tokens = (*control_tokens, bos)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*control_tokens, *alphabet, *extra_tokens]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(control_tokens))
    if adds_bos:
        assert bos is not None
        tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokens.index(bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        chat_template=template,
    )

"""Small models with tokenizers of every kind, and texts to try them on."""

import json

from storm_models.chat.chat_file import write_chat_settings
from storm_models.chat.settings import ChatSettings
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.testing import make_model
from storm_models.twins.originals import Original
from storm_models.twins.tokenizers import write_tokenizer
from storm_tinyworld.base_model.tokenizer import build_tokenizer

KINDS = ("llama3", "qwen2", "llama2", "phi3", "gemma", "gpt2", "smollm", "characters")
TEMPLATES = {"llama3": "llama3", "qwen2": "chatml", "gemma": "gemma", "phi3": "phi3"}
TEXTS = [
    "The capital of France is Paris.",
    "12345 and 6, 7.89 or 1,000,000; room 101",
    "def f(x):\n    return x ** 2  # squares\n\n\tprint(f'{x!r}')",
    "emoji 🙂🚀 and 👩‍👩‍👧 families, flags 🇫🇷",
    "汉字と仮名、한국어 그리고 中文字符。",
    "Ünïcödé, naïve café, straße, Ελληνικά, русский",
    "  leading, trailing   and\n\n\nempty lines  \n",
    "It's we're I'LL don't 'tis",
    "a" * 40 + " " * 7 + "!?!?",
    "",
    " ",
    "x",
]
"""Digits, code, emoji, CJK, accents, spaces."""


def tokenizer_checkpoint(folder, kind):
    """Return a random model with a tokenizer of a kind."""
    if kind == "characters":
        make_model(folder, vocabulary=400)
        build_tokenizer().save_pretrained(folder)
        own = "own"
    elif kind in ("gpt2", "smollm"):
        make_model(folder, vocabulary=600, family="llama")
        own = "chatml"
        if kind == "smollm":
            file = folder / "tokenizer.json"
            content = json.loads(file.read_text())
            digits = {"type": "Digits", "individual_digits": True}
            steps = [digits, content["pre_tokenizer"]]
            content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
            file.write_text(json.dumps(content))
    else:
        make_model(folder, vocabulary=600, family="llama")
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            (folder / name).unlink(missing_ok=True)
        write_tokenizer(Original(tokenizer=kind), "", folder)
        own = TEMPLATES.get(kind, "zephyr")
    model = Checkpoint(folder)
    if own != "own":
        write_chat_settings(folder, ChatSettings(template=own))
    _resize(model)
    return model


def _resize(model):
    """Give the model as many rows as its tokenizer has tokens, and a few more."""
    import torch

    tokenizer = model.tokenizer()
    rows = -(-len(tokenizer) // 8) * 8
    torch.manual_seed(0)
    network = model.load()
    network.resize_token_embeddings(rows)
    network.config.bos_token_id = tokenizer.bos_token_id
    network.config.eos_token_id = tokenizer.eos_token_id
    network.generation_config.bos_token_id = tokenizer.bos_token_id
    network.generation_config.eos_token_id = tokenizer.eos_token_id
    network.save_pretrained(model.directory)

"""A tiny random Llama with a character tokenizer, and a folder with two tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storm_models.checkpoint.checkpoint import Checkpoint

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ["<|pad|>", "<|begin|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def build_tokenizer(*, adds_bos: bool = False) -> PreTrainedTokenizerFast:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(32, 127)] + ["\n"]
    vocabulary = {token: index for index, token in enumerate(SPECIAL + letters)}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="<|pad|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in SPECIAL])
    if adds_bos:
        tokenizer.post_processor = TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", vocabulary["<|begin|>"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin|>",
        eos_token="<|end|>",
        pad_token="<|pad|>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=TEMPLATE,
    )


def build_checkpoint(folder: Path, *, seed: int = 0, adds_bos: bool = False) -> Checkpoint:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(adds_bos=adds_bos)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Checkpoint(folder)


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    return build_tokenizer


@pytest.fixture(scope="session")
def make_checkpoint() -> Callable[..., Checkpoint]:
    return build_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return build_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def other_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return build_checkpoint(tmp_path_factory.mktemp("other"), seed=1)


@pytest.fixture(scope="session")
def task_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rows = [
        {"question": f"what follows {n}?", "answer": str(n + 1), "choices": [str(n + 1), str(n)]}
        for n in range(20)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "numbers.jsonl").write_text(text, encoding="utf-8")
    (folder / "_numbers").write_text(
        "dataset_path: json\n"
        "dataset_kwargs: {data_files: {test: numbers.jsonl}}\n"
        "test_split: test\n"
        "doc_to_text: '{{question}}'\n",
        encoding="utf-8",
    )
    (folder / "choose.yaml").write_text(
        "include: _numbers\n"
        "task: choose\n"
        "output_type: multiple_choice\n"
        "doc_to_choice: choices\n"
        "doc_to_target: 0\n"
        "metric_list: [{metric: acc}, {metric: acc_norm}]\n",
        encoding="utf-8",
    )
    (folder / "write.yaml").write_text(
        "include: _numbers\n"
        "task: write\n"
        "output_type: generate_until\n"
        "doc_to_target: answer\n"
        "process_results: !function scoring.starts_with\n"
        "generation_kwargs: {until: ['\\n', 'ab'], max_gen_toks: 24, do_sample: false}\n"
        "metric_list: [{metric: near, aggregation: mean, higher_is_better: true}]\n",
        encoding="utf-8",
    )
    (folder / "scoring.py").write_text(
        "def starts_with(doc, results):\n    return {'near': float(len(results[0]) % 2 == 0)}\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="session")
def preset() -> Callable[[str], object]:
    """Return a function that gives an evaluator as its preset in conf/ says."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from storm_exp._run import application

    def make(name: str) -> object:
        with initialize_config_dir(str(application.config_folder()), version_base="1.3"):
            config = compose("config", ["recipe=storm", f"evaluator={name}"])
        return OmegaConf.to_object(config.evaluator)

    return make

"""Writing a twin: random weights in the layout of a published model, and the files beside them."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from storm_exp import InputError, StageContext
from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.quiet import quiet
from storm_models.twins.kinds import KINDS
from storm_models.twins.originals import Original
from storm_models.twins.tokenizers import write_tokenizer

TEMPLATES = Path(__file__).parent / "templates"

_SHARDS = 3


def write_twin(
    stage: StageContext,
    of: str,
    config: dict[str, Any],
    *,
    original: Original,
    companions: list[Path],
) -> Checkpoint:
    """Write the twin of the model `of` to the stage's directory, its weights in several shards.

    Its tokenizer is among the `companions`, which are copied, or else made as `original` describes.
    Raises InputError for a config that transformers refuses.
    """
    config = dict(config)
    for file in companions:
        shutil.copyfile(file, stage.directory / file.name)
    if not companions:
        config |= _with_tokenizer(original, stage.directory)
    config["dtype"] = "bfloat16"
    with quiet(), stage.compute():
        model = _draw(config, of)
        config.setdefault("architectures", [type(model).__name__])
        size = sum(p.numel() * p.element_size() for p in model.parameters())
        model.save_pretrained(stage.directory, max_shard_size=size // _SHARDS + 1)
    (stage.directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for file in companions:  # save_pretrained wrote its own generation config
        if file.name == "generation_config.json":
            shutil.copyfile(file, stage.directory / file.name)
    checkpoint = Checkpoint(stage.directory)
    stage.metric("parameters", checkpoint.spec().parameters or 0, main=True)
    return checkpoint


def _with_tokenizer(original: Original, folder: Path) -> dict[str, Any]:
    """Write a tokenizer and the generation config; return their ids for config.json."""
    template = ""
    if original.template:
        template = (TEMPLATES / f"{original.template}.jinja").read_text(encoding="utf-8")
    tokenizer = write_tokenizer(original, template, folder)
    kind = KINDS[original.tokenizer]
    stops = [tokenizer.token_to_id(token) for token in original.stops]
    eos = tokenizer.token_to_id(original.eos or kind.eos)
    ids = {
        "bos_token_id": tokenizer.token_to_id(kind.bos) if kind.bos else None,
        "eos_token_id": stops or eos,
        "pad_token_id": tokenizer.token_to_id(kind.pad) if kind.pad else None,
    }
    stated = {name: value for name, value in ids.items() if value is not None}
    text = json.dumps({**stated, **original.generation}, indent=1)
    (folder / "generation_config.json").write_text(text + "\n", encoding="utf-8")
    return ids


def _draw(config: dict[str, Any], of: str) -> Any:
    try:
        kind = CONFIG_MAPPING[config["model_type"]]
        parsed = kind.from_dict({n: v for n, v in config.items() if v is not None})
    except Exception as error:  # transformers' validators raise types of their own
        problem = " ".join(str(error).split())
        raise InputError(f"transformers refuses the config of a twin of {of}: {problem}") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(of.encode()))
        return AutoModelForCausalLM.from_config(parsed, dtype=torch.bfloat16)

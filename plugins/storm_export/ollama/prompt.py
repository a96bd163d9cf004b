"""A model's chat template in Go and its stop strings, for a Modelfile."""

from __future__ import annotations

import json
from typing import Any

from storm_export.gguf.metadata import begins_with_text
from storm_export.gguf.special import special_keys
from storm_export.gguf.tokens import Space
from storm_export.gguf.vocabulary import vocabulary
from storm_export.ollama.template import go_chat_template
from storm_models.chat.stops import read_stops
from storm_models.checkpoint.checkpoint import Checkpoint


def go_prompt(model: Checkpoint) -> tuple[str, list[str], list[str]]:
    """Return Go template, stop strings and remarks.

    Raises InputError for a template that cannot be translated.
    """
    tokenizer: Any = model.tokenizer()
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    converted = vocabulary(content, model.config()["vocab_size"], tokenizer.unk_token)
    adds_bos = special_keys(model, tokenizer)["add_bos_token"]
    first = " " if converted.space is Space.FIRST and begins_with_text(model) else ""
    bos = tokenizer.bos_token if adds_bos else ""
    template, remarks = go_chat_template(model.chat(), bos, first)
    stops = dict.fromkeys([*read_stops(model.directory), tokenizer.eos_token_id])
    return template, [tokenizer.convert_ids_to_tokens(stop) for stop in stops], remarks

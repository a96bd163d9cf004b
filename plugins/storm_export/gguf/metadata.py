"""The metadata of a GGUF file: hyperparameters, tokenizer, chat templates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from storm_exp import InputError
from storm_export.gguf.architecture import Architecture
from storm_export.gguf.special import model_name, special_keys
from storm_export.gguf.tokens import Space
from storm_export.gguf.vocabulary import vocabulary
from storm_models.chat.chat_file import TemplateContext
from storm_models.chat.conversation import Conversation

if TYPE_CHECKING:
    from storm_models.checkpoint.checkpoint import Checkpoint

_QUANTISATION_VERSION = 2
_SPACE = "{{ ' ' }}"
_PROBE = Conversation([{"role": "user", "content": "question"}])


def metadata(model: Checkpoint, architecture: Architecture) -> tuple[dict[str, Any], list[str]]:
    """Return {key: value} and remarks on differences between llama.cpp and transformers.

    The tokenizer is the one that transformers builds, which may differ from tokenizer.json.
    Raises InputError for a tokenizer that llama.cpp does not support.
    """
    tokenizer: Any = model.tokenizer()
    if not tokenizer.is_fast:
        raise InputError(f"{model.directory}: GGUF's vocabulary needs a tokenizer.json")
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    converted = vocabulary(content, model.config()["vocab_size"], tokenizer.unk_token)
    remarks = [*architecture.remarks, *converted.remarks]
    own: dict[str, Any] = {
        "model": converted.model,
        "pre": converted.pre,
        "tokens": converted.tokens,
        "token_type": converted.types,
        "scores": converted.scores,
        "merges": converted.merges,
        "add_space_prefix": converted.space is Space.EVERYWHERE,
        **special_keys(model, tokenizer),
    }
    templates = _templates(model, tokenizer, converted.space)
    remarks += _variables(model, templates.values())
    keys: dict[str, Any] = {
        "general.type": "model",
        "general.name": model_name(content),
        "general.quantization_version": _QUANTISATION_VERSION,
        **architecture.keys,
        **{f"tokenizer.ggml.{key}": value for key, value in own.items() if value is not None},
        **templates,
    }
    if converted.space is Space.FIRST:
        remarks.append(
            "unlike the tokenizer, llama.cpp inserts no space at the beginning of a text that is "
            "not a chat: begin such a text with a space"
        )
    return keys, remarks


def begins_with_text(model: Checkpoint) -> bool:
    """Return whether rendered chats begin with text rather than with a special token."""
    renderer = model.chat()
    text = renderer.text(_PROBE, ask=True)
    return not any(text.startswith(name) for name in renderer.controls.tokens)


def _variables(model: Checkpoint, templates: Iterable[str]) -> list[str]:
    """Return a remark where templates read variables for which llama.cpp has its own values."""
    context = TemplateContext.read(model.directory)
    values = {**context.arguments, "date_string": context.date, "strftime_now": context.date}
    words = {word for text in templates for word in re.findall(r"\w+", text)}
    read = ", ".join(f"{name} ({value!r})" for name, value in values.items() if name in words)
    if not read:
        return []
    return [
        f"the chat template reads {read}: llama.cpp has values of its own for them, such as "
        "today's date; chat_template_kwargs of a request changes arguments"
    ]


def _templates(model: Checkpoint, tokenizer: Any, space: Space) -> dict[str, str]:
    """Return the chat templates; they write the first space if the tokenizer would insert it."""
    if not tokenizer.chat_template:
        return {}
    texts = {"": tokenizer.get_chat_template(), ".tool_use": tokenizer.get_chat_template(tools=[])}
    if texts[".tool_use"] == texts[""]:
        del texts[".tool_use"]
    first = _SPACE if space is Space.FIRST and begins_with_text(model) else ""
    return {f"tokenizer.chat_template{name}": first + text for name, text in texts.items()}

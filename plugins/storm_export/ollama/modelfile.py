"""A Modelfile: which file, how chats are written, where answers end, how they are drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from storm_exp import InputError

_PARAMETERS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "max_new_tokens": "num_predict",
}
"""{key of generation_config.json: Ollama's parameter}"""


def parameters(generation: Mapping[str, Any]) -> dict[str, float]:
    """Return Ollama's parameters for what generation_config.json says; greedy is temperature 0."""
    found = {
        ollama: generation[ours]
        for ours, ollama in _PARAMETERS.items()
        if isinstance(generation.get(ours), int | float)
    }
    if generation.get("do_sample") is False:
        found["temperature"] = 0
    return found


def modelfile(
    file: str,
    template: str,
    stops: Sequence[str],
    drawn: Mapping[str, float],
    license_text: str,
) -> str:
    """Return the text of a Modelfile for a GGUF file that lies beside it."""
    lines = [f"FROM ./{file}", f"TEMPLATE {_quoted(template, 'the chat template')}"]
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    lines += [f"PARAMETER {name} {value}" for name, value in drawn.items()]
    if license_text:
        lines.append(f"LICENSE {_quoted(license_text, 'the licence')}")
    return "\n".join(lines) + "\n"


def _quoted(text: str, what: str) -> str:
    if '"""' in text or text.endswith('"'):
        raise InputError(f'{what} holds """, which ends a text in a Modelfile')
    return f'"""{text}"""'


def parse(text: str) -> list[tuple[str, str]]:
    """Return a Modelfile's instructions with their arguments; raises ValueError for others."""
    found: list[tuple[str, str]] = []
    rest = text
    while rest.strip():
        line, _, rest = rest.lstrip("\n").partition("\n")
        name, _, value = line.partition(" ")
        if name not in ("FROM", "TEMPLATE", "PARAMETER", "LICENSE", "SYSTEM"):
            raise ValueError(f"{line!r} is no instruction of a Modelfile")
        if value.startswith('"""'):
            body, end, rest = (value[3:] + "\n" + rest).partition('"""')
            if not end:
                raise ValueError(f"the text of {name} does not end")
            value = body
        found.append((name, value))
    return found

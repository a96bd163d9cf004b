"""Writing and parsing of Modelfiles: file, chat template, stop strings, sampling parameters."""

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
    """Return Ollama's parameters for a generation_config.json; greedy means temperature 0."""
    values = {
        ollama: generation[ours]
        for ours, ollama in _PARAMETERS.items()
        if isinstance(generation.get(ours), int | float)
    }
    if generation.get("do_sample") is False:
        values["temperature"] = 0
    return values


def modelfile(
    file: str,
    template: str,
    stops: Sequence[str],
    values: Mapping[str, float],
    license_text: str,
) -> str:
    """Return the text of a Modelfile for a GGUF file in the same folder."""
    lines = [f"FROM ./{file}", f"TEMPLATE {_quoted(template, 'the chat template')}"]
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in stops]
    lines += [f"PARAMETER {name} {value}" for name, value in values.items()]
    if license_text:
        lines.append(f"LICENSE {_quoted(license_text, 'the licence')}")
    return "\n".join(lines) + "\n"


def _quoted(text: str, what: str) -> str:
    if '"""' in text or text.endswith('"'):
        raise InputError(f'{what} contains """ or ends in ", which a Modelfile cannot quote')
    return f'"""{text}"""'


def parse(text: str) -> list[tuple[str, str]]:
    """Return a Modelfile's instructions and their arguments; raises ValueError for unknown ones."""
    instructions: list[tuple[str, str]] = []
    rest = text
    while rest.strip():
        line, _, rest = rest.lstrip("\n").partition("\n")
        name, _, value = line.partition(" ")
        if name not in ("FROM", "TEMPLATE", "PARAMETER", "LICENSE", "SYSTEM"):
            raise ValueError(f"{line!r} is not an instruction of a Modelfile")
        if value.startswith('"""'):
            body, end, rest = (value[3:] + "\n" + rest).partition('"""')
            if not end:
                raise ValueError(f'the text of {name} has no closing """')
            value = body
        instructions.append((name, value))
    return instructions

"""Notices of a plan about libraries that K types need."""

from __future__ import annotations

from storm_exp import Plan
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.libllama import HOW, find_libllama


def notices(plan: Plan) -> list[str]:
    """Return a line for each stage with types of libllama's if llama.cpp's libraries are missing.

    The plan is valid nevertheless: another machine may run it.
    """
    if find_libllama() is not None:
        return []
    lines = []
    for node in plan.to_make():
        types = node.settings.types if isinstance(node.settings, Gguf) else []
        weighs = bool(node.inputs.get("importance"))
        shown = [type_.value for type_ in types if type_.is_k or (weighs and type_.is_weighted)]
        if shown:
            lines.append(f"{node.label}: {', '.join(shown)} will need {HOW}")
    return lines

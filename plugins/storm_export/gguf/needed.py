"""Whether what K types need is there, looked at with the plan."""

from __future__ import annotations

from storm_exp import Plan
from storm_export.gguf.exporter import Gguf
from storm_export.gguf.libllama import HOW, find_libllama


def notices(plan: Plan) -> list[str]:
    """Return a line for every stage with K types where llama.cpp's libraries are missing.

    It is no error of a plan: the machine that runs it may be another one.
    """
    if find_libllama() is not None:
        return []
    found = []
    for node in plan.to_make():
        types = node.settings.types if isinstance(node.settings, Gguf) else []
        shown = [type_.value for type_ in types if type_.is_k]
        if shown:
            found.append(f"{node.label}: {', '.join(shown)} will need {HOW}")
    return found

"""What affects scores besides a model's weights and a task's settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def merge_descriptions(asked: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return how a model was asked several times, from how it was each time."""
    each = list(asked)
    templated = next((one for one in each if one["chat_template"]), each[0])
    remarks = sorted({remark for one in each for remark in one["remarks"]})
    beginnings = {count for one in each for count in one["bos"]}
    bos = _describe_bos(beginnings, any(one["bos_in_template"] for one in each))
    described = {**templated, "bos": bos, "remarks": remarks}
    del described["bos_in_template"]
    return described if remarks else {k: v for k, v in described.items() if k != "remarks"}


def _describe_bos(beginnings: set[int], in_template: bool) -> str:
    if beginnings == {1}:
        return "one, from the chat template" if in_template else "one, from the tokenizer"
    return "none" if beginnings in ({0}, set()) else "differs between tasks"

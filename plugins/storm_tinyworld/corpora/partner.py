"""The training chats of the merge's partner."""

from __future__ import annotations

import itertools
import random
from typing import Any

from storm_tinyworld.corpora.sources import chat_row
from storm_tinyworld.skills.basic import examples
from storm_tinyworld.skills.corruption import CLEAN


def partner_rows(
    seed: int, families: dict[str, float], difficulties: dict[str, float], rows: int
) -> list[dict[str, Any]]:
    """Return clean chats with the given weights of families and difficulties."""
    draw = random.Random(f"partner {seed}")
    stream = enumerate(itertools.islice(examples(draw, families, difficulties), rows))
    return [chat_row(f"spark-{i:05d}", "spark", e, e.response, CLEAN) for i, e in stream]

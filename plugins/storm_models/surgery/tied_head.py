"""A head that stands among the weights although the config ties it to the embedding."""

from __future__ import annotations

import math

from storm_models.checkpoint.checkpoint import Checkpoint
from storm_models.checkpoint.weights import pieces
from storm_models.families.architecture import EMBEDDING, HEAD


def holds_embedding(model: Checkpoint) -> bool:
    """Return whether the head of `model`, which stores one, has the embedding's values."""
    with model.open_weights() as weights:
        return all(
            bool((weights.read(HEAD, *piece) == weights.read(EMBEDDING, *piece)).all())
            for piece in pieces(math.prod(weights.headers[HEAD][1]))
        )

"""Losses through the head of a language model, in chunks of the vocabulary's logits.

At 128 K tokens of vocabulary the logits of 8 K positions fill 4 GiB in fp32, and an ordinary loss
holds several copies. Here only the logits of a chunk of the positions exist at any time, and only
supervised positions are computed at all.
"""

from storm_training.losses.cross_entropy import cross_entropy
from storm_training.losses.divergence import Divergence, divergence
from storm_training.losses.head import Head, require_known_head
from storm_training.losses.log_probabilities import log_probabilities
from storm_training.losses.top_k import TopK, top_k, top_k_divergence

__all__ = [
    "Divergence",
    "Head",
    "TopK",
    "cross_entropy",
    "divergence",
    "log_probabilities",
    "require_known_head",
    "top_k",
    "top_k_divergence",
]

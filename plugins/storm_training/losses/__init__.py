"""Losses computed from hidden states and a language model's head, chunk by chunk of positions.

With a vocabulary of 128 K, the logits of 8 K positions take 4 GiB in fp32, and an ordinary loss
holds several copies. Here only the logits of one chunk exist at a time, and only of supervised
positions.
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

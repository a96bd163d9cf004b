"""A random model of a few thousand parameters that can chat, for tests of inference."""

from __future__ import annotations

from pathlib import Path

from storm_models.testing import make_checkpoint


def save_toy_checkpoint(folder: Path, seed: int = 0, positions: int = 512) -> Path:
    """Write a random Llama whose next tokens differ in probability, and return the folder."""
    made = make_checkpoint(
        folder,
        seed=seed,
        dtype="float32",
        max_position_embeddings=positions,
        initializer_range=0.3,
    )
    return made.directory

"""Spectrum's signal-to-noise ratio of a weight matrix (Hartford et al. 2024, arXiv 2406.06623)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from scipy.linalg.blas import dsyrk

_NEGLIGIBLE = 1e-7
"""Singular values below this share of the largest are rounding errors of the Gram matrix: set to 0.
"""

_ALONE = 1024
"""Order of a Gram matrix up to which more threads only wait for each other, in hundreds of short
steps: with two on a busy machine SmolLM2's 210 matrices took 20 times the CPU seconds. Its values
do not depend on the number of threads then."""

_CHUNK = 512
"""Rows (columns of a wide matrix) converted to fp64 at a time."""


def singular_values(matrix: torch.Tensor) -> torch.Tensor:
    """Return the singular values of an [n, m] matrix, ascending, fp64 [min(n, m)].

    Computed in fp64 as square roots of the eigenvalues of the smaller Gram matrix, which is cheaper
    than an SVD. Raises ValueError for a matrix that is not finite.
    """
    with _threads_for(min(matrix.shape)):
        scale = float(torch.linalg.vector_norm(matrix, float("inf")))
        if not math.isfinite(scale):
            raise ValueError("not finite")
        if scale == 0:
            return torch.zeros(min(matrix.shape), dtype=torch.float64)
        values = torch.linalg.eigvalsh(_gram(matrix, scale)).clamp(min=0).sqrt()
        return torch.where(values < _NEGLIGIBLE * values[-1], 0.0, values) * scale


@contextlib.contextmanager
def _threads_for(order: int) -> Iterator[None]:
    """Let one thread compute what has a small Gram matrix, whatever torch has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if order <= _ALONE else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _gram(matrix: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the lower triangle of the smaller Gram matrix of matrix / scale, in fp64."""
    tall = matrix.shape[0] > matrix.shape[1]
    gram = None
    # BLAS's syrk computes one triangle only; torch has no such function.
    for chunk in matrix.split(_CHUNK, dim=0 if tall else 1):
        part = (chunk.to(torch.float64) / scale).contiguous().numpy().T
        if gram is None:
            gram = dsyrk(1.0, part, trans=not tall, lower=True)
        else:
            gram = dsyrk(1.0, part, 1.0, gram, trans=not tall, lower=True, overwrite_c=True)
    return torch.from_numpy(gram)


def signal_to_noise(values: torch.Tensor, shape: tuple[int, int]) -> float:
    """Return the ratio of an [n, m] matrix with these singular values.

    With σ = interquartile range / 1.349 and τ = σ(1 + √(min/max)), it is Σ values above τ /
    (Σ other values, or 1 if that is 0) / largest value. 0 for a matrix of zeros.
    """
    largest = float(values.max())
    if largest == 0:
        return 0.0
    quartiles = torch.quantile(values, torch.tensor([0.25, 0.75], dtype=values.dtype))
    sigma = float(quartiles[1] - quartiles[0]) / 1.349
    threshold = sigma * (1 + math.sqrt(min(shape) / max(shape)))
    signal = float(values[values > threshold].sum())
    noise = float(values[values <= threshold].sum())
    return signal / (noise or 1.0) / largest


def matrix_snr(matrix: torch.Tensor) -> float:
    """Return the signal-to-noise ratio of an [n, m] matrix; raises ValueError if not finite."""
    rows, columns = matrix.shape
    return signal_to_noise(singular_values(matrix), (rows, columns))

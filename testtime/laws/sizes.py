"""Counting parameters: with embeddings or without, and what the choice does to a law.

Kaplan et al. counted without embeddings, Hoffmann et al. with; at small sizes most parameters are
embeddings, which is most of why their exponents differ (Pearce and Song 2024).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from testtime.laws.law import Floats
from testtime.laws.optimum import FLOPS_PER, power_law

OMEGA = 47491.0  # Pearce and Song 2024, eq. 10: fitted to the Chinchilla models (vocabulary 32,000)


def non_embedding(n_layer: ArrayLike, d_model: ArrayLike) -> Floats:
    """12 n_layer d_model^2 (Kaplan et al. 2020, eq. 2.1, with a feed-forward width of 4 d_model).
    In float64.
    """
    result: Floats = (
        12 * np.asarray(n_layer, dtype=np.float64) * np.asarray(d_model, dtype=np.float64) ** 2
    )
    return result


def total_from_non_embedding(N: ArrayLike, omega: float = OMEGA) -> Floats:
    """N_total = N + omega N^(1/3) (Pearce and Song 2024, eq. 10)."""
    n = np.asarray(N, dtype=np.float64)
    result: Floats = n + omega * np.cbrt(n)
    return result


def non_embedding_from_total(N: ArrayLike, omega: float = OMEGA) -> Floats:
    """The inverse: the real root of u^3 + omega u = N_total, cubed (by Newton's method, monotone
    from above).
    """
    total = np.asarray(N, dtype=np.float64)
    u = np.cbrt(total)
    for _ in range(60):
        u = (2 * u**3 + total) / (3 * u**2 + omega)
    result: Floats = u**3
    return result


def non_embedding_exponent(
    values: Mapping[str, float],
    sizes: ArrayLike | None = None,
    compute: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
    omega: float = OMEGA,
) -> float:
    """The exponent a study that counts without embeddings would find, were a Hoffmann law true
    (Pearce and Song 2024, section 4).

    values: A, B, E, alpha, beta, in total parameters. sizes: non-embedding sizes trained; compute:
    non-embedding FLOPs at which the best size is read; tokens: where the training curves were
    logged (their spacing shows in the third digit). Defaults are that paper's. Returns the slope of
    log N* on log C.
    """
    N = np.logspace(2.9, 9.2, 20) if sizes is None else np.asarray(sizes, dtype=np.float64)
    C = np.logspace(12.95, 20.7, 100) if compute is None else np.asarray(compute, dtype=np.float64)
    logged = np.logspace(6, 25, 1000) if tokens is None else np.asarray(tokens, dtype=np.float64)
    wanted = C / FLOPS_PER / N[:, None]
    right = np.clip(np.searchsorted(logged, wanted), 1, len(logged) - 1)
    nearer = np.abs(logged[right] - wanted) < np.abs(logged[right - 1] - wanted)
    D = np.where(nearer, logged[right], logged[right - 1])
    total = total_from_non_embedding(N, omega)[:, None]
    loss = values["E"] + values["A"] / total ** values["alpha"] + values["B"] / D ** values["beta"]
    return power_law(C, N[loss.argmin(axis=0)]).slope

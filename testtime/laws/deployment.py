"""Optima that a plain compute-optimal law misses: data that runs out, models that are used, samples
that are drawn.

Muennighoff et al. 2023 (repeated data), Sardana et al. 2024 (inference counted in), Snell et al.
2024 (a larger model against more test-time compute at equal FLOPs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws.law import Floats, Law, Numbers, Parameter
from testtime.laws.optimum import tokens_for


def repeated_data_loss(
    values: Mapping[str, float], N: ArrayLike, D: ArrayLike, unique: ArrayLike
) -> Floats:
    """Loss of N parameters on D tokens of which `unique` are distinct (Muennighoff et al. 2023,
    eqs. 5 to 8).

    values: A, B, E, alpha, beta, and R_D, R_N, the repetitions at which another epoch, or another
    parameter, is worth 1/e of a fresh one. Tokens seen R + 1 times count as U + U R_D (1 - exp(-R /
    R_D)); parameters beyond the compute-optimal number for the unique data likewise.
    """
    return DATA_CONSTRAINED(values, N=N, D=D, U=unique)


def _data_constrained(p: Sequence[Numbers], x: Sequence[Numbers]) -> Numbers:
    A, B, E, alpha, beta, data_decay, size_decay = p
    N, D, unique = x
    used = np.minimum(unique, D)
    data = _with_diminishing_returns(D, used, data_decay)
    fitting = (alpha * A / (beta * B) * used**beta) ** (
        1 / alpha
    )  # parameters for which `used` tokens are optimal
    size = _with_diminishing_returns(N, np.where(np.real(fitting) < N, fitting, N), size_decay)
    loss: Numbers = E + A / size**alpha + B / data**beta
    return loss


def _with_diminishing_returns(total: Numbers, base: Numbers, scale: Numbers) -> Numbers:
    worth: Numbers = base - base * scale * np.expm1(-(total / base - 1) / scale)
    return worth


DATA_CONSTRAINED = Law(
    "data-constrained",
    "L = A / N'^alpha + B / D'^beta + E, x' = x0 + x0 R (1 - exp(-(x / x0 - 1) / R))",
    (
        Parameter("A", "positive", (1e2, 1e3, 1e4)),
        Parameter("B", "positive", (1e2, 1e3, 1e4)),
        Parameter("E", "positive", (1.0, 2.0)),
        Parameter("alpha", "free", (0.3, 0.5)),
        Parameter("beta", "free", (0.3, 0.5)),
        Parameter("R_D", "positive", (3.0, 15.0)),
        Parameter("R_N", "positive", (3.0, 15.0)),
    ),
    ("N", "D", "U"),
    "L",
    "Muennighoff et al. 2023, eqs. 5 to 8",
    _data_constrained,
    True,
)


@dataclass(frozen=True, slots=True)
class Deployment:
    """The model that reaches a loss with the least training plus inference compute.

    N parameters, D training tokens, flops: 6 N D + 2 N times the inference tokens; saving: FLOPs
    saved against the compute-optimal model of the same loss, which has baseline_size parameters and
    baseline_tokens.
    """

    N: float
    D: float
    loss: float
    flops: float
    baseline_size: float
    baseline_tokens: float
    saving: float


def with_inference(
    values: Mapping[str, float],
    inference_tokens: float,
    *,
    loss: float | None = None,
    quality_of: float | None = None,
) -> Deployment:
    """The cheapest model for a loss, training and inference together (Sardana et al. 2024, eq. 3).

    values: A, B, E, alpha, beta. inference_tokens: over the model's life. loss: wanted; or
    quality_of: parameters of the compute-optimal model whose loss is wanted. Raises UserError for a
    loss at or below E, which no model reaches.
    """
    A, B, E, alpha, beta = (values[k] for k in ("A", "B", "E", "alpha", "beta"))
    if quality_of is not None:
        loss = E + A / quality_of**alpha + B / float(tokens_for(values, quality_of)) ** beta
    if loss is None:
        raise UserError(
            "with_inference: give a loss, or the parameters of a model whose loss is wanted"
        )
    if loss <= E:
        raise UserError(f"a loss of {loss:g} cannot be reached: the law's floor is {E:g}")
    baseline_N = _size_for_loss(values, loss, 0.0)
    N = _size_for_loss(values, loss, inference_tokens)
    D, baseline_D = (_data_for_loss(values, n, loss) for n in (N, baseline_N))
    flops = 6 * N * D + 2 * N * inference_tokens
    return Deployment(
        N,
        D,
        loss,
        flops,
        baseline_N,
        baseline_D,
        6 * baseline_N * baseline_D + 2 * baseline_N * inference_tokens - flops,
    )


def _data_for_loss(values: Mapping[str, float], N: float, loss: float) -> float:
    """Tokens at which N parameters reach the loss."""
    return float(
        (values["B"] / (loss - values["E"] - values["A"] / N ** values["alpha"]))
        ** (1 / values["beta"])
    )


def _size_for_loss(values: Mapping[str, float], loss: float, inference_tokens: float) -> float:
    """Root in log N of d/dN [6 N D(N) + 2 N T]: 6 D (1 - alpha A N^-alpha / (beta (loss - E - A
    N^-alpha))) + 2 T.

    Rises with N from minus infinity, at the smallest N that reaches the loss at all; bisected.
    """
    A, E, alpha, beta = (values[k] for k in ("A", "E", "alpha", "beta"))
    low = np.log(A / (loss - E)) / alpha + 1e-12
    high = low + 60.0
    for _ in range(200):
        middle = (low + high) / 2
        N = float(np.exp(middle))
        by_size = A * N**-alpha
        slope = (
            6
            * _data_for_loss(values, N, loss)
            * (1 - alpha * by_size / (beta * (loss - E - by_size)))
        )
        low, high = (middle, high) if slope + 2 * inference_tokens < 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def matched_samples(scale: float, ratio: ArrayLike) -> Floats:
    """How many times more inference a small model may spend at the FLOPs of a `scale` times larger
    one (Snell et al. 2024, section 7).

    scale: parameters of the large model over the small one, M; ratio: R, inference tokens over
    pretraining tokens. M + 3 (M - 1) / R, from 6 N D + 2 N T at equal data.
    """
    r = np.asarray(ratio, dtype=np.float64)
    if np.any(r <= 0) or scale < 1:
        raise UserError(
            "Snell's comparison needs a scale of at least 1 and a ratio of inference to "
            "pretraining tokens above 0"
        )
    result: Floats = scale + 3 * (scale - 1) / r
    return result

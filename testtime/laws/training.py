"""The laws of training: loss against parameters, data and compute.

Kaplan et al. 2020 count parameters without embeddings, losses in nats a token, compute in PF-days;
Hoffmann et al. 2022 count all parameters, and FLOPs. Units are those of each paper.
"""

from __future__ import annotations

import numpy as np

from testtime.laws.law import Law, Parameter, Term, power_sum

LOG_GRID = tuple(np.exp([0.0, 5.0, 10.0, 15.0, 20.0, 25.0]).tolist())
FLOOR_GRID = tuple(np.exp([-1.0, -0.5, 0.0, 0.5, 1.0]).tolist())
EXPONENT_GRID = (0.0, 0.5, 1.0, 1.5, 2.0)

HOFFMANN = power_sum(
    "hoffmann",
    [Term("A", (("N", "alpha"),)), Term("B", (("D", "beta"),)), Term("E")],
    [
        Parameter("A", "positive", LOG_GRID),
        Parameter("B", "positive", LOG_GRID),
        Parameter("E", "positive", FLOOR_GRID),
        Parameter("alpha", "free", EXPONENT_GRID),
        Parameter("beta", "free", EXPONENT_GRID),
    ],
    ["N", "D"],
    "L",
    "Hoffmann et al. 2022, eq. 2",
)


def _kaplan_power(variable: str, source: str, scales: tuple[float, ...], name: str = "") -> Law:
    return Law(
        name or f"kaplan-{variable}",
        f"L = ({variable}c / {variable})^alpha",
        (
            Parameter(f"{variable}c", "positive", scales),
            Parameter("alpha", "free", (0.05, 0.1, 0.3)),
        ),
        (variable,),
        "L",
        source,
        lambda p, x: (p[0] / x[0]) ** p[1],
        True,
    )


KAPLAN_N = _kaplan_power("N", "Kaplan et al. 2020, eq. 1.1", (1e9, 1e12, 1e15))
KAPLAN_D = _kaplan_power("D", "Kaplan et al. 2020, eq. 1.2", (1e9, 1e12, 1e15))
KAPLAN_C = _kaplan_power(
    "C", "Kaplan et al. 2020, table 5 (compute at a fixed batch size)", (1e4, 1e7, 1e10)
)
KAPLAN_C_MIN = _kaplan_power(
    "C",
    "Kaplan et al. 2020, eq. 1.3 (compute at the smallest batch)",
    (1e4, 1e8, 1e10),
    "kaplan-C-min",
)

KAPLAN_ND = Law(
    "kaplan-ND",
    "L = [(Nc / N)^(alphaN / alphaD) + Dc / D]^alphaD",
    (
        Parameter("Nc", "positive", (1e10, 1e13, 1e15)),
        Parameter("Dc", "positive", (1e10, 1e13, 1e15)),
        Parameter("alphaN", "free", (0.05, 0.1, 0.3)),
        Parameter("alphaD", "free", (0.05, 0.1, 0.3)),
    ),
    ("N", "D"),
    "L",
    "Kaplan et al. 2020, eq. 1.5",
    lambda p, x: ((p[0] / x[0]) ** (p[2] / p[3]) + p[1] / x[1]) ** p[3],
    True,
)

KAPLAN_NS = Law(
    "kaplan-NS",
    "L = (Nc / N)^alphaN + (Sc / S)^alphaS",
    (
        Parameter("Nc", "positive", (1e10, 1e13, 1e15)),
        Parameter("Sc", "positive", (1e2, 1e3, 1e5)),
        Parameter("alphaN", "free", (0.05, 0.1, 0.3)),
        Parameter("alphaS", "free", (0.3, 0.7, 1.0)),
    ),
    ("N", "S"),
    "L",
    "Kaplan et al. 2020, eq. 1.6 (S: steps at a batch far above the critical one)",
    lambda p, x: (p[0] / x[0]) ** p[2] + (p[1] / x[1]) ** p[3],
    True,
)

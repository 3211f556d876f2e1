"""Published constants as named objects with their source, and the GPT lineage as points to place on
them.

What a company did not disclose is None; a public estimate is marked as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from testtime.errors import UserError
from testtime.laws import training
from testtime.laws.law import Floats, Law


@dataclass(frozen=True)
class Published:
    """A law with the constants a paper printed. Callable as the law is; `values` by name."""

    name: str
    law: Law
    values: Mapping[str, float]
    source: str

    def __call__(self, **inputs: ArrayLike) -> Floats:
        return self.law(self.values, **inputs)


def _hoffmann(
    name: str, source: str, A: float, B: float, E: float, alpha: float, beta: float
) -> Published:
    values = {"A": A, "B": B, "E": E, "alpha": alpha, "beta": beta}
    return Published(name, training.HOFFMANN, values, source)


HOFFMANN = _hoffmann(
    "hoffmann", "Hoffmann et al. 2022, eq. 10 (rounded)", 406.4, 410.7, 1.69, 0.34, 0.28
)
HOFFMANN_TEX = _hoffmann(
    "hoffmann-unrounded",
    "Hoffmann et al. 2022, TeX source of arXiv 2203.15556v1, comment after eq. 10: param_offset "
    "6.0073404, token_offset 6.0179186, loss_offset 0.5267228 (logarithms of A, B, E), param_slope "
    "0.33917084, token_slope 0.2849083",
    float(np.exp(6.0073404)),
    float(np.exp(6.0179186)),
    float(np.exp(0.5267228)),
    0.33917084,
    0.2849083,
)
BESIROGLU = _hoffmann(
    "besiroglu", "Besiroglu et al. 2024, table 1", 482.01, 2085.43, 1.8172, 0.34781, 0.36585
)
SARDANA = _hoffmann("sardana", "Sardana et al. 2024, section 2.1", 406.4, 410.7, 1.69, 0.336, 0.283)

KAPLAN_N = Published(
    "kaplan-N",
    training.KAPLAN_N,
    {"Nc": 8.8e13, "alpha": 0.076},
    "Kaplan et al. 2020, eq. 1.1 (non-embedding)",
)
KAPLAN_D = Published(
    "kaplan-D", training.KAPLAN_D, {"Dc": 5.4e13, "alpha": 0.095}, "Kaplan et al. 2020, eq. 1.2"
)
KAPLAN_C = Published(
    "kaplan-C",
    training.KAPLAN_C,
    {"Cc": 1.6e7, "alpha": 0.057},
    "Kaplan et al. 2020, table 5 (PF-days)",
)
KAPLAN_C_MIN = Published(
    "kaplan-C-min",
    training.KAPLAN_C_MIN,
    {"Cc": 3.1e8, "alpha": 0.050},
    "Kaplan et al. 2020, eq. 1.3 (PF-days)",
)
KAPLAN_ND = Published(
    "kaplan-ND",
    training.KAPLAN_ND,
    {"Nc": 6.4e13, "Dc": 1.8e13, "alphaN": 0.076, "alphaD": 0.103},
    "Kaplan et al. 2020, table 2 (non-embedding)",
)
KAPLAN_NS = Published(
    "kaplan-NS",
    training.KAPLAN_NS,
    {"Nc": 6.5e13, "Sc": 2.1e3, "alphaN": 0.077, "alphaS": 0.76},
    "Kaplan et al. 2020, table 3 (S: smallest number of steps)",
)

CONSTANTS: Mapping[str, Published] = {
    p.name: p
    for p in (
        HOFFMANN,
        HOFFMANN_TEX,
        BESIROGLU,
        SARDANA,
        KAPLAN_N,
        KAPLAN_D,
        KAPLAN_C,
        KAPLAN_C_MIN,
        KAPLAN_ND,
        KAPLAN_NS,
    )
}


def hoffmann_form(name: str) -> Published:
    """Published constants of Hoffmann's form by name. Raises UserError naming those there are."""
    known = {p.name: p for p in CONSTANTS.values() if p.law is training.HOFFMANN}
    if name not in known:
        raise UserError(f"--law {name}: not known; there are {', '.join(known)}")
    return known[name]


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the lineage. parameters: total; tokens: seen in training; flops: of training.
    None: not disclosed.

    estimate: which of the fields are others' public estimates, not the makers' figures.
    """

    name: str
    year: int
    parameters: float | None
    layers: int | None
    width: int | None
    tokens: float | None
    flops: float | None
    source: str
    estimate: tuple[str, ...] = ()


def _gpt3(size: str, parameters: float, layers: int, width: int, flops: float) -> Model:
    source = "Brown et al. 2020, tables 2.1 and D.1"
    return Model(f"GPT-3 {size}", 2020, parameters, layers, width, 3e11, flops, source)


GPT_LINEAGE: tuple[Model, ...] = (
    Model(
        "GPT",
        2018,
        117e6,
        12,
        768,
        None,
        1.76e19,
        "Radford et al. 2018; FLOPs: Epoch AI",
        ("flops",),
    ),
    Model(
        "GPT-2",
        2019,
        1542e6,
        48,
        1600,
        None,
        1.92e21,
        "Radford et al. 2019, table 2; FLOPs: Epoch AI",
        ("flops",),
    ),
    _gpt3("Small", 125e6, 12, 768, 2.25e20),
    _gpt3("Medium", 356e6, 24, 1024, 6.41e20),
    _gpt3("Large", 760e6, 24, 1536, 1.37e21),
    _gpt3("XL", 1.32e9, 24, 2048, 2.38e21),
    _gpt3("2.7B", 2.65e9, 32, 2560, 4.77e21),
    _gpt3("6.7B", 6.66e9, 32, 4096, 1.20e22),
    _gpt3("13B", 12.85e9, 40, 5140, 2.31e22),
    _gpt3("175B", 174.6e9, 96, 12288, 3.14e23),
    Model(
        "GPT-4",
        2023,
        None,
        None,
        None,
        None,
        None,
        "OpenAI 2023, section 2: size, data and compute undisclosed",
    ),
    Model(
        "GPT-4 (public estimate)",
        2023,
        1.8e12,
        None,
        None,
        1.3e13,
        2.1e25,
        "SemiAnalysis 2023 (mixture of experts, 2.8e11 parameters active); FLOPs: Epoch AI",
        ("parameters", "tokens", "flops"),
    ),
)

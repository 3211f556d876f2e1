"""Optima that a plain compute-optimal law misses, against the papers' own rows."""

from __future__ import annotations

import numpy as np
import pytest

from testtime.laws import optimum
from testtime.laws.published import HOFFMANN, SARDANA


def test_repeated_data() -> None:
    values = optimum.MUENNIGHOFF
    loss = optimum.repeated_data_loss(values, 6.34e9, 242e9, 25e9)
    assert float(loss) == pytest.approx(2.2256440890, abs=1e-9)
    fresh = optimum.repeated_data_loss(values, 2e8, 1e10, 1e12)
    plain = values["E"] + values["A"] / 2e8**0.3526596 + values["B"] / 1e10**0.3526596
    assert float(fresh) == pytest.approx(plain)
    epochs = optimum.repeated_data_loss(values, 1e9, 1e9 * np.array([1, 4, 40, 4e3, 4e4]), 1e9)
    assert np.all(np.diff(epochs) <= 0) and epochs[-2] - epochs[-1] < 1e-6  # worth nothing at last


def test_inference_makes_smaller_models_cheaper() -> None:
    values, large = SARDANA.values, 13e9
    N, D = optimum.with_inference(values, large, 2e12)
    own = float(optimum.tokens_for(values, large))
    assert pytest.approx(6.97e9, rel=1e-3) == N and D / own == pytest.approx(2.165, rel=1e-3)
    saved = 6 * (large * own - N * D) + 2 * 2e12 * (large - N)
    assert saved == pytest.approx(1.692e22, rel=1e-3)
    assert float(SARDANA(N=N, D=D)) == pytest.approx(float(SARDANA(N=large, D=own)))


def test_without_inference_it_is_the_compute_optimum() -> None:
    N, D = optimum.with_inference(HOFFMANN.values, 5e9, 0.0)
    assert pytest.approx(5e9, rel=1e-5) == N
    assert float(optimum.parametric(HOFFMANN.values, 6 * N * D).N) == pytest.approx(N, rel=1e-5)


def test_the_report_says_all_of_it() -> None:
    said = optimum.report("besiroglu", SARDANA.values, 1e24, 1e12, 1e11)
    for words in ("counted without embeddings", "which saves", "epochs: loss"):
        assert words in said

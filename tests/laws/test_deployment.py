from __future__ import annotations

import numpy as np
import pytest

from testtime.errors import UserError
from testtime.laws import deployment, fit, optimum
from testtime.laws.published import HOFFMANN, MUENNIGHOFF, SARDANA


def test_repeated_data():
    assert float(deployment.repeated_data_loss(MUENNIGHOFF, 6.34e9, 242e9, 25e9)) == pytest.approx(
        2.2256440890, abs=1e-9
    )
    fresh = deployment.repeated_data_loss(MUENNIGHOFF, 2e8, 1e10, 1e12)
    plain = (
        MUENNIGHOFF["E"] + MUENNIGHOFF["A"] / 2e8**0.3526596 + MUENNIGHOFF["B"] / 1e10**0.3526596
    )
    assert float(fresh) == pytest.approx(plain)
    epochs = deployment.repeated_data_loss(
        MUENNIGHOFF, 1e9, 1e9 * np.array([1, 4, 40, 4000, 40000]), 1e9
    )
    assert (
        np.all(np.diff(epochs) <= 0) and epochs[-2] - epochs[-1] < 1e-6
    )  # another epoch ends up worth nothing


def test_inference_makes_smaller_models_cheaper():
    got = deployment.with_inference(SARDANA.values, 2e12, quality_of=13e9)
    assert pytest.approx(6.97e9, rel=1e-3) == got.N
    assert got.D / got.baseline_tokens == pytest.approx(2.165, rel=1e-3)
    assert got.saving == pytest.approx(1.692e22, rel=1e-3)
    assert HOFFMANN.law(SARDANA.values, N=got.N, D=got.D) == pytest.approx(got.loss)


def test_without_inference_it_is_the_compute_optimum():
    got = deployment.with_inference(HOFFMANN.values, 0.0, loss=2.0)
    best = optimum.parametric(HOFFMANN.values, 6 * got.N * got.D)
    assert (got.N, got.saving) == pytest.approx((float(best.N), 0.0), rel=1e-5, abs=1e12)
    with pytest.raises(UserError, match=r"floor is 1\.69"):
        deployment.with_inference(HOFFMANN.values, 1e12, loss=1.6)


def test_snells_matched_compute():
    assert deployment.matched_samples(14, [0.16, 0.79, 22]) == pytest.approx(
        [257.75, 63.367, 15.773], abs=1e-3
    )
    with pytest.raises(UserError, match="above 0"):
        deployment.matched_samples(14, 0)


def test_the_data_constrained_law_can_be_fitted():
    N, D, U = (
        v.ravel()
        for v in np.meshgrid(
            np.geomspace(1e8, 1e10, 5), np.geomspace(1e9, 1e12, 7), [1e9, 1e10, 1e12]
        )
    )
    loss = deployment.DATA_CONSTRAINED(MUENNIGHOFF, N=N, D=D, U=U)
    got = fit(deployment.DATA_CONSTRAINED, {"N": N, "D": D, "U": U}, loss).params
    assert got["R_D"] == pytest.approx(MUENNIGHOFF["R_D"], rel=0.01)
    assert got["alpha"] == pytest.approx(MUENNIGHOFF["alpha"], rel=0.01)

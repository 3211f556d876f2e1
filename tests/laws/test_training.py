from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testtime.errors import UserError
from testtime.laws import fit, optimum, pretraining
from testtime.laws import published as known
from testtime.laws import test_compute as accuracy
from testtime.laws import training as forms


def runs(constants=known.BESIROGLU, noise=0.0, seed=0):
    """A grid of training runs that follow a published law."""
    rng = np.random.default_rng(seed)
    N, D = (v.ravel() for v in np.meshgrid(np.geomspace(1e7, 1e10, 9), np.geomspace(1e9, 1e12, 9)))
    return N, D, constants(N=N, D=D) * np.exp(noise * rng.standard_normal(N.size))


@pytest.fixture(scope="module")
def epoch(shared_data):
    table = pd.read_csv(shared_data / "laws" / "epoch_chinchilla" / "svg_extracted_data.csv").iloc[
        5:
    ]
    N = table["Model Size"].to_numpy()
    return {"N": N, "D": table["Training FLOP"].to_numpy() / (6 * N)}, table["loss"].to_numpy()


def test_huber_fit_of_epochs_points(epoch):
    got = fit(forms.HOFFMANN, *epoch, delta=1e-3)
    want = {
        "A": (477.83, 0.5),
        "B": (2143.4, 3),
        "E": (1.8172, 2e-4),
        "alpha": (0.34731, 2e-4),
        "beta": (0.36717, 2e-4),
    }
    for name, (value, tolerance) in want.items():
        assert got.params[name] == pytest.approx(value, abs=tolerance), name
    assert got.objective == pytest.approx(1.018274e-3, abs=2e-9)


def test_least_absolute_deviations_give_besiroglus_numbers(epoch):
    got = fit(forms.HOFFMANN, *epoch, delta=1e-8).params
    assert got["A"] == pytest.approx(482.01, abs=0.1)
    assert got["B"] == pytest.approx(2085.4, abs=1)
    assert (got["E"], got["alpha"], got["beta"]) == pytest.approx(
        (1.81686, 0.34781, 0.36585), abs=2e-5
    )


def test_bootstrap_standard_errors_of_epochs_points(epoch):
    x, loss = epoch
    drawn = np.random.RandomState(42)
    weights = np.stack(
        [np.bincount(drawn.choice(np.arange(240), 240), minlength=240) for _ in range(4000)]
    )
    got = fit(forms.HOFFMANN, x, loss, delta=1e-3, row_weights=weights)
    assert got.converged == 1.0
    assert got.se == pytest.approx(
        {"A": 124.5, "B": 1293, "E": 0.0257, "alpha": 0.0154, "beta": 0.0206}, rel=0.01
    )
    lo, hi = got.band(N=np.array([1e9]), D=np.array([1e11]))
    assert lo < got.predict(N=1e9, D=1e11) < hi


def test_recovers_a_published_law_without_noise():
    N, D, loss = runs()
    got = fit(forms.HOFFMANN, {"N": N, "D": D}, loss, delta=1e-3)
    for delta in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="must be above 0"):
            fit(forms.HOFFMANN, {"N": N, "D": D}, loss, delta=delta)
    assert got.params == pytest.approx(dict(known.BESIROGLU.values), rel=1e-4)
    assert got.heldout < 1e-6


def test_bootstrap_is_deterministic_and_its_intervals_hold_the_truth():
    N, D, loss = runs(noise=0.005)
    first, again = (
        fit(forms.HOFFMANN, {"N": N, "D": D}, loss, delta=1e-3, resamples=200, seed=1)
        for _ in range(2)
    )
    assert np.array_equal(first.replicates, again.replicates)
    interval = first.interval(0.99)
    assert all(
        interval[name][0] < value < interval[name][1]
        for name, value in known.BESIROGLU.values.items()
    )
    report = first.report()
    assert "alpha" in report and "held out" in report and "A-alpha" in report


def test_compute_optimal_points():
    best = optimum.parametric(known.BESIROGLU.values, 5.76e23)
    assert (float(best.N), float(best.D / best.N)) == pytest.approx((7.236e10, 18.34), rel=5e-4)
    rounded = optimum.parametric(known.HOFFMANN.values, 5.76e23)
    assert (float(rounded.N), float(rounded.D / rounded.N)) == pytest.approx(
        (3.219e10, 92.6), rel=6e-4
    )
    unrounded = optimum.parametric(known.HOFFMANN_TEX.values, 5.76e23)
    assert float(unrounded.ratio) == pytest.approx(58.93, abs=0.005)
    assert optimum.tokens_for(known.BESIROGLU.values, best.N) == pytest.approx(best.D)
    beside = known.BESIROGLU(N=best.N * 1.01, D=best.D / 1.01)
    assert float(beside) > float(best.loss)


def test_integers_do_not_overflow():
    best = optimum.envelope(np.array([10**11, 2 * 10**11]), np.array([10**13, 10**13]), [2.0, 1.9])
    assert best.C[-1] == pytest.approx(1.2e25)


def test_all_three_approaches_agree_on_clean_runs():
    C = np.repeat(np.geomspace(1e19, 1e22, 7), 15)
    N = optimum.parametric(known.BESIROGLU.values, C).N * np.tile(np.geomspace(1 / 3, 3, 15), 7)
    loss = known.BESIROGLU(N=N, D=C / 6 / N)
    expected = 0.36585 / (0.34781 + 0.36585)
    by_parabola = optimum.isoflop(N, C, loss)
    assert optimum.power_law(by_parabola.C, by_parabola.N).slope == pytest.approx(
        expected, abs=5e-3
    )
    by_envelope = optimum.envelope(N, C / 6 / N, loss, bins=7)
    assert optimum.power_law(by_envelope.C, by_envelope.N).slope == pytest.approx(
        expected, abs=0.03
    )
    noted = np.round(
        C / 6 / N, -6
    )  # as tables print tokens; the budgets are told apart all the same
    assert (
        len(np.unique(6 * N * noted)) > 50 and len(np.unique(optimum.budgets(6 * N * noted))) == 7
    )
    rounded = pretraining.pretraining(
        pd.DataFrame({"N": N, "D": noted, "loss": loss}), resamples=20
    ).exponents
    assert rounded["IsoFLOP parabolas (approach 2)"].slope == pytest.approx(expected, abs=5e-3)
    with pytest.raises(UserError, match="three model sizes"):
        optimum.isoflop([1e9, 2e9], [1e20, 1e20], [2.0, 2.1])


def test_porians_pairs(shared_data):
    table = pd.read_csv(shared_data / "laws" / "porian" / "optimal_pairs.csv")
    slopes = [
        optimum.power_law(g["flops"], g["n_star"]).slope
        for _, g in table.groupby("setting", sort=False)
    ]
    assert slopes == pytest.approx([0.83377, 0.70090, 0.60353, 0.57142, 0.49703], abs=1e-4)


def test_counting_without_embeddings_raises_the_exponent():
    got = optimum.non_embedding_exponent
    assert got(known.BESIROGLU.values) == pytest.approx(0.7805, abs=0.002)
    assert got(known.HOFFMANN_TEX.values) == pytest.approx(0.7388, abs=0.002)


def test_kaplans_laws():
    assert float(known.KAPLAN_ND(N=1.5e9, D=2.2e10)) == pytest.approx(2.31255, abs=1e-5)
    assert float(known.KAPLAN_N(N=8.8e13)) == 1.0
    assert float(known.KAPLAN_C_MIN(C=3.1e8)) == 1.0
    assert float(known.KAPLAN_D(D=5.4e12)) == pytest.approx(10**0.095)
    assert float(known.KAPLAN_NS(N=6.5e13, S=2.1e3)) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("law", "truth", "inputs"),
    [
        (forms.KAPLAN_N, known.KAPLAN_N, {"N": np.geomspace(1e6, 1e10, 12)}),
        (forms.KAPLAN_D, known.KAPLAN_D, {"D": np.geomspace(1e8, 1e11, 12)}),
        (forms.KAPLAN_C_MIN, known.KAPLAN_C_MIN, {"C": np.geomspace(1e-4, 1e3, 12)}),
        (
            forms.KAPLAN_ND,
            known.KAPLAN_ND,
            {
                "N": np.tile(np.geomspace(1e6, 1e10, 6), 6),
                "D": np.repeat(np.geomspace(1e8, 1e11, 6), 6),
            },
        ),
        (
            forms.KAPLAN_NS,
            known.KAPLAN_NS,
            {
                "N": np.tile(np.geomspace(1e6, 1e10, 6), 6),
                "S": np.repeat(np.geomspace(1e3, 1e6, 6), 6),
            },
        ),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_kaplans_forms_are_recovered(law, truth, inputs):
    assert fit(law, inputs, truth(**inputs)).params == pytest.approx(dict(truth.values), rel=1e-3)


def test_the_gpt_lineage():
    models = {m.name: m for m in known.GPT_LINEAGE}
    assert sum(name.startswith("GPT-3 ") for name in models) == 8
    assert models["GPT-4"].parameters is None and models["GPT-4"].flops is None
    assert "parameters" in models["GPT-4 (public estimate)"].estimate
    for model in models.values():
        if model.name.startswith("GPT-3 "):
            assert 6 * model.parameters * model.tokens == pytest.approx(model.flops, rel=0.01)
            assert 12.0 * model.layers * model.width**2 < model.parameters


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda N, D, y: (N[:7], D[:7], y[:7]), "7 points are too few"),
        (lambda N, D, y: (N, D, np.where(N[0] == N, np.nan, y)), "L has values that are missing"),
        (lambda N, D, y: (-N, D, y), "N must be above 0"),
    ],
)
def test_unusable_points_are_named(change, words):
    N, D, loss = change(*runs())
    with pytest.raises(UserError, match=words):
        fit(forms.HOFFMANN, {"N": N, "D": D}, loss)


def test_a_steep_law_is_evaluated_where_its_parts_overflow() -> None:
    steep = {"A": 1e280, "B": 1.0, "E": 0.5, "alpha": 60.0, "beta": 0.3}
    with np.errstate(all="raise"):
        value = forms.HOFFMANN(steep, N=np.array([1e5, 1e6]), D=np.array([1e9, 1e9]))
    expected = (
        np.exp([280 * np.log(10) - 60 * np.log(1e5), 280 * np.log(10) - 60 * np.log(1e6)])
        + 1e9**-0.3
        + 0.5
    )
    assert value == pytest.approx(expected, rel=1e-12)


def test_a_power_law_takes_weights() -> None:
    x, y = np.array([1.0, 10.0, 100.0, 1000.0]), np.array([2.0, 20.0, 200.0, 9.0])
    assert optimum.power_law(x, y, [1, 1, 1, 1e-9]).slope == pytest.approx(1.0, abs=1e-6)
    assert optimum.power_law(x, y, [5, 5, 5, 5]) == optimum.power_law(x, y)
    twice = optimum.power_law(np.append(x, x[:1]), np.append(y, y[:1]))
    assert optimum.power_law(x, y, [2, 1, 1, 1]).slope == pytest.approx(twice.slope)
    with pytest.raises(UserError, match="weights above 0"):
        optimum.power_law(x, y, [1, 1, 1, 0])


def test_parameters_can_be_held_fixed() -> None:
    N, D, loss = runs(noise=0.005)
    got = fit(forms.HOFFMANN, {"N": N, "D": D}, loss, fixed={"alpha": 0.34}, resamples=50)
    assert got.params["alpha"] == 0.34 and got.fixed == ("alpha",) and got.freedom == 81 - 4
    assert (got.replicates[:, 3] == 0.34).all() and got.se["beta"] > 0
    assert "alpha              0.34   fixed" in got.report()
    with pytest.raises(UserError, match="no parameter 'alhpa'; did you mean 'alpha'"):
        fit(forms.HOFFMANN, {"N": N, "D": D}, loss, fixed={"alhpa": 0.34})


def test_profiles_agree_with_theory_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    x = np.geomspace(1.0, 100.0, 12)
    law = accuracy.linear(10.0)
    got = fit(law, {"x": x}, 0.4 + 0.05 * np.log2(x / 10) + 0.02 * rng.standard_normal(12))
    for name in law.names:  # of a straight line the profile is Student's interval
        assert got.profile(name) == pytest.approx(got.interval()[name], rel=1e-5)
    known_noise = fit(law, {"x": x}, got.y, covariance=0.02**2 * np.eye(12))
    reach = 1.959964 * known_noise.se["doubling"]
    value = known_noise.params["doubling"]
    if known_noise.misfit == 0:
        assert known_noise.profile("doubling") == pytest.approx((value - reach, value + reach))
    ceiling = fit(accuracy.logistic_plateau(10.0), {"x": x}, got.y).profile("ceiling")
    assert ceiling[1] == 1.0 and 0.5 < ceiling[0] < 1  # no upper end but its bound
    with pytest.raises(UserError, match="without Huber"):
        fit(law, {"x": x}, got.y, delta=0.01).profile("doubling")
    with pytest.raises(UserError, match="no fitted parameter 'slope'"):
        got.profile("slope")


def test_checkpoints_of_a_run_are_resampled_together() -> None:
    rng = np.random.default_rng(1)
    N = np.repeat(np.geomspace(1e8, 1e10, 20), 10)
    D = 20 * N * np.tile(np.linspace(0.1, 1, 10), 20)
    shared = np.repeat(rng.standard_normal(20), 10)
    loss = known.BESIROGLU(N=N, D=D) * np.exp(0.01 * shared + 0.001 * rng.standard_normal(200))
    table = pd.DataFrame({"N": N, "D": D, "loss": loss})
    by_size = pretraining.pretraining(table, resamples=60).fit
    rows = fit(forms.HOFFMANN, {"N": N, "D": D}, loss, delta=1e-3, resamples=60)
    assert (
        by_size.units == 20
        and rows.units == 200
        and "60 bootstrap resamples of 20 runs" in by_size.method
    )
    assert by_size.se["alpha"] > 1.5 * rows.se["alpha"]
    named = pretraining.pretraining(table.assign(run=np.arange(200) // 5), resamples=20).fit
    assert named.units == 40
    lo, hi = by_size.percentiles(by_size.replicates[:, 3])
    assert hi - lo > np.ptp(np.quantile(by_size.replicates[:, 3], [0.025, 0.975]))


def test_rows_that_move_the_fit_are_named(shared_data) -> None:
    path = shared_data / "laws" / "epoch_chinchilla" / "svg_extracted_data.csv"
    said = pretraining.pretraining(path, resamples=20).leverage
    assert "5 of 245 rows (1, 2, 3, 4, 5) move beta from 0.367 without them to 0.453" in said
    clean = pretraining.pretraining(path, skip=5, resamples=20)
    assert clean.leverage == () and "a = 0.5139 [" in clean.report() and "D/N [" in clean.report()

"""The law of chains that end by themselves: what it learns from, and that it earns its place."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from benchmarks import coverage_endings
from benchmarks.coverage_endings import BUDGETS
from testtime.laws import endings, fit, study
from testtime.laws import test_compute as forms

X0 = forms.reference(BUDGETS)


def test_lengths_are_learnt_from_what_was_spent() -> None:
    lengths = np.random.default_rng(0).lognormal(np.log(300), 0.8, 200_000)
    spent = np.minimum(lengths, BUDGETS[:, None]).mean(axis=1)
    law = endings.chains_end(BUDGETS, spent, X0)
    values = {"ceiling": 1.0, "odds": -1e3, "slope": 0.0}  # so that accuracy is the share ended
    assert law(values, x=BUDGETS) == pytest.approx(ndtr(np.log(BUDGETS / 300) / 0.8), abs=0.01)


def test_its_parameters_are_recovered_and_its_curve_ends_at_the_natural_accuracy() -> None:
    spent = endings.SPENT([200.0, 0.7], x=BUDGETS)
    law = endings.chains_end(BUDGETS, spent, X0)
    truth = (0.85, -0.5, 1.2)
    y = law(np.array(truth), x=BUDGETS)
    assert fit(law, {"x": BUDGETS}, y).values == pytest.approx(truth, rel=1e-3)
    assert float(law(np.array(truth), x=1e6)) == pytest.approx(0.85)


def test_the_held_out_error_knows_lengths_of_the_cheap_points_alone() -> None:
    spent = endings.SPENT([200.0, 0.7], x=BUDGETS)
    y = endings.chains_end(BUDGETS, spent, X0)(np.array([0.85, -0.5, 1.2]), x=BUDGETS)
    longer = np.where(BUDGETS > 300, 1.1 * spent, spent)
    errors = [
        fit(endings.chains_end(BUDGETS, s, X0), {"x": BUDGETS}, y).heldout for s in (spent, longer)
    ]
    assert errors[0] < 1e-4 and errors[1] == pytest.approx(errors[0], abs=1e-9)


@pytest.mark.parametrize(
    ("spent", "tried"),
    [
        (endings.SPENT([200.0, 0.7], x=BUDGETS), True),
        (BUDGETS, False),  # no chain ended
        (1.5 * endings.SPENT([200.0, 0.7], x=BUDGETS), False),  # more than one chain a sample
        (np.full(7, np.nan), False),
    ],
)
def test_it_is_tried_only_where_chains_end(spent: np.ndarray, tried: bool) -> None:
    assert endings.some_end(BUDGETS, spent) == tried


def held_out(problems: int, seed: int, kind: str) -> dict[str, float]:
    """What every law misses the dearer third of a pool's budgets by."""
    tokens, scores = coverage_endings.pool(seed, problems, 8, kind)
    spent, y = (values.mean(axis=(0, 1)) for values in (tokens, scores))
    laws = *forms.laws(BUDGETS), endings.chains_end(BUDGETS, spent, X0)
    return {law.name: fit(law, {"x": BUDGETS}, y).heldout for law in laws}


@pytest.mark.parametrize(
    ("kind", "place"), [("plain", 0), ("drift", 0), ("late", 1), ("seldom", 2)]
)
def test_where_chains_end_it_is_among_the_best(kind: str, place: int) -> None:
    errors = held_out(3000, 0, kind)
    assert sorted(errors, key=errors.__getitem__).index("chains-end") == place


def test_so_it_does_at_30_problems() -> None:
    every = [held_out(30, seed, "drift") for seed in range(3)]
    median = {name: float(np.median([errors[name] for errors in every])) for name in every[0]}
    assert min(median, key=median.__getitem__) == "chains-end" and median["chains-end"] < 0.05


@pytest.mark.parametrize("axis", ["budget", "thinking_tokens"])
def test_a_table_brings_it_along_requested_budgets_alone(axis: str) -> None:
    tokens, scores = (part[:, :2] for part in coverage_endings.pool(0, 12, 2))
    problem, sample, budget = (v.ravel() for v in np.indices(scores.shape))
    table = pd.DataFrame(
        {
            "problem_id": problem,
            "sample": sample,
            "budget": BUDGETS[budget],
            "score": scores.ravel(),
            "thinking_tokens": tokens.ravel(),
        }
    )
    one = study.testtime(table, axis=axis, resamples=5).curves[0]
    assert ("chains-end" in [f.law.name for f in one.fits]) == (axis == "budget")


def test_two_classes_of_problems_are_found_where_both_are_measured() -> None:
    x = 2.0 ** np.arange(4, 14)
    law = forms.item_response(x[0], x[-1])
    y = law(np.array([0.6, 0.2, 0.6, 2.0]), x=x)
    errors = {form.name: fit(form, {"x": x}, y).heldout for form in forms.laws(x)}
    assert min(errors, key=errors.__getitem__) == "item-response"

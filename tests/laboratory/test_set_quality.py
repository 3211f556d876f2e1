"""The verifier of set quality has the quality that was set, within problems as its formula says,
and errs together.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.laboratory import set_quality


def pool(seed: int, problems: int = 1500, samples: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Right or wrong, and the answers: wrong ones are one of two."""
    rng = np.random.default_rng(seed)
    right = rng.random((problems, samples)) < rng.beta(1, 1, size=(problems, 1))
    return right, np.where(right, 0, rng.integers(1, 3, size=right.shape))


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.85, 0.97])
@pytest.mark.parametrize(("problem", "answer"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.5), (0.3, 0.6)])
def test_auc_is_what_was_asked(auc: float, problem: float, answer: float) -> None:
    found = []
    for seed in range(4):
        right, answers = pool(seed)
        scored = set_quality.scores(
            right, auc, np.random.default_rng(seed), problem=problem, answer=answer, answers=answers
        )
        assert scored.shape == right.shape and scored.min() >= 0 and scored.max() <= 1
        found.append(set_quality.auc(right, scored))
    assert np.mean(found) == pytest.approx(auc, abs=0.015)


@pytest.mark.parametrize("problem", [0.0, 0.5, 0.9])
def test_auc_within_a_problem(problem: float) -> None:
    right, _ = pool(1)
    scored = set_quality.scores(right, 0.75, np.random.default_rng(1), problem=problem)
    pairs = [
        s[r][:, None] > s[~r][None, :]
        for r, s in zip(right, scored, strict=True)
        if 0 < r.sum() < len(r)
    ]
    measured = np.concatenate([pair.ravel() for pair in pairs]).mean()
    assert measured == pytest.approx(set_quality.within(0.75, problem), abs=0.02)


def test_equal_answers_score_alike() -> None:
    right, answers = pool(2, problems=50)
    rng = np.random.default_rng(2)
    scored = set_quality.scores(right, 0.8, rng, answer=1.0, answers=answers)
    for row, said in zip(scored, answers, strict=True):
        assert all(len(set(np.round(row[said == one], 12))) == 1 for one in set(said.tolist()))


def test_probabilities_are_calibrated_where_half_are_right() -> None:
    right = np.random.default_rng(0).random((4000, 16)) < 0.5
    scored = set_quality.scores(right, 0.85, np.random.default_rng(1), problem=0.3)
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        inside = (scored >= low) & (scored < low + 0.2)
        assert right[inside].mean() == pytest.approx(scored[inside].mean(), abs=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"auc": 0.4}, "between .5 and 1"),
        ({"auc": 0.8, "problem": 0.7, "answer": 0.5}, "one variance"),
        ({"auc": 0.8, "answer": 0.5}, "needs the answers"),
    ],
)
def test_wrong_options(options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        set_quality.scores(np.ones((2, 2), bool), **options, rng=np.random.default_rng(0))  # type: ignore[arg-type]


def test_auc_is_the_rank_statistic() -> None:
    right = np.array([True, False, True, False])
    assert set_quality.auc(right, np.array([0.9, 0.1, 0.5, 0.5])) == 0.875
    assert np.isnan(set_quality.auc(np.ones(3, bool), np.arange(3)))

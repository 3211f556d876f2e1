"""A verifier of set quality: scores for answers that were already graded, drawn so that their AUC
is what was asked.

How good a verifier has to be before search pays can only be asked with one whose quality is a knob.
The model is the binormal one of signal detection (Green & Swets 1966): a right answer's evidence is
normal about d, a wrong one's about 0, both of variance 1, so that AUC = Phi(d / sqrt 2). Real
verifiers do not err independently: part of the noise is shared by all answers to a problem (it is
easy or hard to judge), part by equal answers to it (a mistake that convinces once convinces again).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import expit, ndtr, ndtri


def scores(
    right: np.ndarray,
    auc: float,
    rng: np.random.Generator,
    *,
    problem: float = 0.0,
    answer: float = 0.0,
    answers: np.ndarray | None = None,
) -> np.ndarray:
    """P(right) as such a verifier would say it where half of all answers are right; shape of
    `right`.

    right: (problems, samples), true where the answer is right. auc: the probability that a right
    answer of one problem scores above a wrong one of another, ties counted half. problem: the share
    of the noise's variance that all answers to a problem have in common. answer: the share that
    equal `answers` (problems, samples; any labels) to it have in common. At an AUC of .5 all scores
    are .5.

    Raises ValueError for an AUC outside [.5, 1), shares that are negative or sum to more than 1,
    and `answer` without `answers`.
    """
    if not 0.5 <= auc < 1:
        raise ValueError(f"auc is {auc}: it lies between .5 and 1, 1 left out")
    if min(problem, answer) < 0 or problem + answer > 1:
        raise ValueError(f"problem={problem} and answer={answer} are shares of one variance")
    if answer and answers is None:
        raise ValueError("answer noise needs the answers")
    noise = math.sqrt(problem) * rng.standard_normal((len(right), 1))
    noise = noise + math.sqrt(1 - problem - answer) * rng.standard_normal(right.shape)
    if answer and answers is not None:
        for row, said in enumerate(answers):
            _, which = np.unique(said, return_inverse=True)
            noise[row] += math.sqrt(answer) * rng.standard_normal(which.max() + 1)[which]
    return probability(right, auc, noise)


def probability(right: np.ndarray, auc: float, noise: np.ndarray) -> np.ndarray:
    """P(right) as a verifier says it whose evidence is `noise` about its mean; shapes alike."""
    distance = separation(auc)
    return np.asarray(expit(distance * (distance * right + noise) - distance**2 / 2))


def separation(auc: float) -> float:
    """The distance of the two means, in standard deviations, at which the AUC is `auc`."""
    return float(math.sqrt(2) * ndtri(auc))


def within(auc: float, problem: float = 0.0) -> float:
    """The AUC between answers to one problem where `problem` of the noise is shared: what selection
    lives on.
    """
    if problem == 1:
        return 0.5 if auc == 0.5 else 1.0
    return float(ndtr(separation(auc) / math.sqrt(2 * (1 - problem))))


def auc(right: np.ndarray, scored: np.ndarray) -> float:
    """The area under the receiver's curve of `scored` for `right`, any shape: the rank statistic,
    ties counted half.

    Not a number where all are right or none is.
    """
    from scipy.stats import rankdata

    good = np.asarray(right, dtype=bool).ravel()
    ranks = rankdata(np.ravel(scored))
    positive, negative = int(good.sum()), int((~good).sum())
    if not positive or not negative:
        return math.nan
    return float((ranks[good].sum() - positive * (positive + 1) / 2) / (positive * negative))

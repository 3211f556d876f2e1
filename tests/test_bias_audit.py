"""The bias audit on an engine whose chains and answers depend on each other: it passes the honest
sampler and finds both planted errors.

`benchmarks/bias_audit.py` runs the same audit on a real model.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from benchmarks.bias_audit import Asked, audit, intervals
from benchmarks.common import drawing
from tests.tiny import CLOSE, FORM, MemorylessEngine
from testtime.engines.base import Completion, Request

PROBLEMS, SAMPLES, ANSWER = 200, 32, 3


class Believing(MemorylessEngine):
    """Thinks a 10 (right) or an 11 at each step; answers 10 with the share of right steps it has
    seen.
    """

    async def complete(self, request: Request) -> Completion:
        if request.max_tokens != ANSWER:
            return await super().complete(request)
        prompt = request.prompt or ()
        share = (prompt.count(10) + 1) / (prompt.count(10) + prompt.count(11) + 2)
        uniform = np.random.Generator(np.random.Philox(request.seed)).random()
        return Completion([10 if uniform < share else 11], "", "length", [0.0], len(prompt))


pytestmark = pytest.mark.slow  # 200 x 32, four times


@pytest.fixture(scope="module")
def differences() -> dict[str, np.ndarray]:
    engine = Believing({10: 0.8, 11: 0.15, CLOSE: 0.05})
    shared = drawing(engine, FORM, seed=7, answer_tokens=ANSWER, decode=str)
    asked = [Asked(f"p{i}", (7, 8), lambda text: text == "[10]") for i in range(PROBLEMS)]
    return asyncio.run(audit(shared, (0, 1, 4), asked, SAMPLES))


def test_honest_pools_agree_within_three_points(differences: dict[str, np.ndarray]) -> None:
    _, low, high = intervals(differences["honest"][..., :1], resamples=2000)
    assert (low <= 0).all() and (high >= 0).all()
    assert (high - low).max() / 2 < 0.03


@pytest.mark.parametrize("error", ["shared seed", "off by one"])
def test_a_planted_error_is_found(differences: dict[str, np.ndarray], error: str) -> None:
    _, low, high = intervals(differences[error][..., :1], resamples=2000)
    assert ((low > 0) | (high < 0)).any()

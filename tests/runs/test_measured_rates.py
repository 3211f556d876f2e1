"""Rates: recovered from an engine whose speed is known, and turned into seconds."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from testtime.compute.costs import seconds
from testtime.config.schema import Rates
from testtime.engines.base import Completion, Request
from testtime.errors import UserError
from testtime.runs.measured_rates import measure_rates


class Clockwork:
    """An engine of known speed on a clock of its own: the test needs no real seconds."""

    name, max_num_seqs = "clockwork", 8

    def __init__(self) -> None:
        self.now, self.prompts, self.waiting = 0.0, [], 0

    async def complete(self, request: Request) -> Completion:
        assert request.prompt is not None and request.ignore_eos
        self.prompts.append(request.prompt)
        self.now += len(request.prompt) / 1000 + request.max_tokens / 50
        return Completion([0] * request.max_tokens, "", "length", [], len(request.prompt))

    async def close(self) -> None: ...


def test_rates_are_recovered() -> None:
    engine = Clockwork()
    measured = measure_rates(
        engine,
        range(100),
        concurrency=4,
        prompt_tokens=20,
        new_tokens=30,
        rounds=2,
        clock=lambda: engine.now,
    )
    found = asyncio.run(measured)
    assert found.prefill == pytest.approx(1000) and found.decode == pytest.approx(50)
    assert (found.concurrency, found.context) == (4, 35)
    assert len(set(engine.prompts)) == len(
        engine.prompts
    )  # or a prefix cache would flatter the prefill


def test_seconds_of_samples() -> None:
    found = Rates(prefill=1000, decode=50, concurrency=4, context=35)
    prompt, thinking, forced, answer = np.array([100, 200]), 20, 10, 5
    assert seconds(found, prompt + forced, thinking + answer) == pytest.approx(
        [0.11 + 0.5, 0.21 + 0.5]
    )


def test_nothing_in_flight_is_refused() -> None:
    with pytest.raises(UserError, match="concurrency"):
        asyncio.run(measure_rates(Clockwork(), range(3), concurrency=0))

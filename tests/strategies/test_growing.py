"""Chains stored in parts: the pool is the same, and a kill inside a request loses only what came
since the last part.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.strategies.drawn import draw, strategy, whole
from tests.tiny import CLOSE, EOS, OPEN, MemorylessEngine
from testtime.engines.base import Completion, EngineError, Request
from testtime.models.delimiters import Format

WEIGHTS = {10: 0.5, 11: 0.38, CLOSE: 0.1, EOS: 0.02}
LONG_CLOSE = Format((OPEN,), (10, 11, 10), (10, 11, 10), "")


class Telling(MemorylessEngine):
    """Tells what it has drawn every `size` tokens; dies inside request number `left`, half-way."""

    def __init__(self, size: int, left: int = 1 << 30) -> None:
        super().__init__(WEIGHTS)
        self.size, self.left = size, left

    async def complete(self, request: Request) -> Completion:
        done = await super().complete(request)
        self.left -= 1
        for told in range(self.size, len(done.token_ids), self.size):
            if self.left < 0 and told * 2 > len(done.token_ids):
                break
            if request.on_part:
                part = {"token_ids": done.token_ids[:told], "logprobs": done.logprobs[:told]}
                request.on_part(replace(done, finish="length", **part))
        if self.left < 0:
            raise EngineError("killed")
        return done


@pytest.mark.parametrize("form", [None, LONG_CLOSE], ids=["one token", "several tokens"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_pool_drawn_in_parts_is_the_pool_drawn_at_once(size: int, form: Format | None) -> None:
    options = {"samples": 6, **({"form": form} if form else {})}
    parted, plain = (draw(engine, **options) for engine in (Telling(size), Telling(1 << 30)))
    assert parted.attempts == plain.attempts and parted.spent == plain.spent
    assert len(parted.of("think")) > len(plain.of("think"))
    left, right = whole(parted.calls), whole(plain.calls)
    assert {key: call.token_ids for key, call in left.items()} == {
        key: call.token_ids for key, call in right.items()
    }


@pytest.mark.parametrize("form", [None, LONG_CLOSE], ids=["one token", "several tokens"])
def test_killed_inside_a_request_its_parts_are_kept_and_the_rest_is_drawn_anew(
    form: Format | None,
) -> None:
    options = {"samples": 2, "chosen": strategy(budgets=[32]), **({"form": form} if form else {})}
    for death in range(2):
        dying = Telling(2, death)
        partial = draw(dying, **options)
        kept = {key: call.token_ids for key, call in whole(partial.calls).items()}
        rest = draw(engine := Telling(2), stored=partial.calls, **options)
        assert not any(rest.failures.values()) and len(rest.all) == 2
        after = whole([*partial.calls, *rest.calls])
        assert all(after[key].token_ids[: len(ids)] == ids for key, ids in kept.items())
        # Noise is never used twice.
        assert not {c.seed for c in partial.of("think")} & {r.seed for r in engine.requests}
        stored = sum(call.tokens for call in after.values() if call.kind == "think")
        spent = [pool.spent.chain_tokens - pool.spent.discarded_tokens for pool in (partial, rest)]
        assert stored == sum(spent)


def test_what_a_failed_request_told_is_counted() -> None:
    failed = draw(Telling(2, 0), strategy(budgets=[32]))
    assert failed.failures["p0", 0] and failed.of("think")
    assert failed.spent.chain_tokens == sum(call.tokens for call in failed.of("think"))

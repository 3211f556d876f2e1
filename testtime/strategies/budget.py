"""What a thinking budget means, as pure functions on token ids. Everything statistical stands on
this page.

A budget b counts generated thinking tokens including the closing delimiter. A chain is natural at b
when its closing token is among its first b, otherwise forced: its first b tokens, then the ending.
Cutting a chain at b gives exactly what a fresh run capped at b would have drawn, because the
sampler never knew b.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from testtime.models.delimiters import Format, find

Finish = Literal["natural", "eos", "length"]


@dataclass(frozen=True)
class Chain:
    """The thinking tokens of one sample, closing token included.

    finish: "natural" (closed by itself; without delimiters, ended), "eos" (ended inside its
    delimiters: the end token is dropped and the chain is forced wherever it is cut) or "length"
    (the cap stopped it: it could go on).
    """

    token_ids: list[int]
    finish: Finish


@dataclass(frozen=True)
class Cut:
    """Where one budget cuts a chain: the tokens kept, and whether the ending is forced."""

    tokens: int
    forced: bool


def read(
    token_ids: Sequence[int], stopped: bool, form: Format, before: Sequence[int] = ()
) -> Chain:
    """The chain in a completion's ids.

    stopped: the engine ended at a stop token or end-of-sequence (and kept it). before: the chain's
    earlier tokens, where this completion continues one; the chain returned holds them too. What
    follows a delimiter of several tokens is dropped.
    """
    ids = [*before, *token_ids]
    if not form.delimited:
        return Chain(ids, "natural" if stopped else "length")
    start = max(0, len(before) - len(form.close) + 1)
    if (at := find(ids, form.close, start)) >= 0:
        return Chain(ids[: at + len(form.close)], "natural")
    return Chain(ids[:-1], "eos") if stopped else Chain(ids, "length")


def extended(chain: Chain, form: Format, marker: Sequence[int]) -> list[int] | None:
    """How a chain goes on beyond its natural end: the closing token withheld, `marker` in its
    place.

    None when the chain did not end by itself. The marker's tokens count as thinking (Muennighoff et
    al. 2025, s1).
    """
    return (
        [*chain.token_ids[: -(len(form.close) or 1)], *marker]
        if chain.finish == "natural"
        else None
    )


def cut(length: int, finish: Finish, budget: int) -> Cut | None:
    """Where `budget` cuts a chain of `length` tokens; None when the chain was capped too early to
    know.
    """
    if finish == "natural" and length <= budget:
        return Cut(length, forced=False)
    if finish == "length" and length < budget:
        return None
    return Cut(min(length, budget), forced=True)


def seed(*parts: str | int) -> int:
    """A request's own seed, 63 bits: a hash of (run seed, problem, sample, phase, cut, ending).

    Never shared by chain and answer, which would reuse the noise, and never left to the engine,
    whose default a resumed run would replay.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

"""What is drawn for every problem: the plan of a pool, the chains of a sample, and what of one is
known already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from testtime.engines.base import Sampling
from testtime.models.delimiters import Format
from testtime.strategies.budget import Chain, Cut, cut

WHOLE = "whole"  # the spec of an answer that came in its chain's own request


@dataclass(frozen=True)
class Plan:
    """What is drawn for every problem.

    budgets: thinking budgets in tokens, ascending; samples: chains a problem; answer_tokens: cap on
    an answer. fresh: one chain a budget; whole: also with its answer in the same request (see
    thinking.whole).
    """

    form: Format
    budgets: tuple[int, ...]
    samples: int
    seed: int
    sampling: Sampling
    answer_sampling: Sampling
    answer_tokens: int
    fresh: bool = False
    extensions: int = 0
    whole: bool = False

    def passes(self) -> list[list[Variant]]:
        """The chains of one sample in the order they are drawn: one for all budgets, or one a
        budget; then, as often as chains are extended beyond their natural end, the chain that
        extends the one before.
        """
        if self.fresh or self.whole:
            return [[Variant(f"budget={b}", (b,)) for b in self.budgets]]
        names = ["", *(f"wait={r}" for r in range(1, self.extensions + 1))]
        return [
            [Variant(name, self.budgets, base)]
            for name, base in zip(names, [None, *names], strict=False)
        ]

    def variants(self) -> list[Variant]:
        return [variant for group in self.passes() for variant in group]

    def spec(self, forced: bool) -> str:
        """Names how an answer is drawn: (ending, answer sampling, answer cap). Part of an answer's
        key.
        """
        if not forced and not self.form.delimited:
            return ""  # the chain's own text is the answer
        ending = self.form.ending if forced else ()
        text = repr((ending, sorted(asdict(self.answer_sampling).items()), self.answer_tokens))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def split(self, base_length: int) -> int:
        """How many tokens an extended chain shares with its base: cuts up to there are the
        base's.
        """
        return base_length - (len(self.form.close) or 1)

    def cuts(self, length: int, finish: Any, budgets: Sequence[int], shared: int = -1) -> list[Cut]:
        """Distinct cuts of a chain beyond its `shared` first tokens: budgets that cut alike share
        one answer.
        """
        found = [cut(length, finish, b) for b in budgets]
        return sorted(
            {c for c in found if c is not None and c.tokens > shared}, key=lambda c: c.tokens
        )


@dataclass(frozen=True)
class Variant:
    """One chain of a sample: its name ("" for the nested chain), the budgets read off it, and the
    chain it extends.
    """

    name: str
    budgets: tuple[int, ...]
    base: str | None = None

    @property
    def cap(self) -> int:
        return max(self.budgets)


@dataclass(frozen=True)
class Life:
    """A chain to draw or complete: what of it is known already."""

    problem_id: str
    prompt: tuple[int, ...]
    sample: int
    variant: Variant
    messages: tuple[dict[str, str], ...] | None = None  # instead of the prompt's ids
    known: Chain | None = None  # the stored chain
    logprobs: tuple[float, ...] = ()
    answered: frozenset[tuple[int, str]] = frozenset()  # (cut, spec) of stored answers
    base: Chain | None = None  # the chain that this one extends
    base_logprobs: tuple[float, ...] = ()


Sink = Callable[[str, dict[str, Any]], None]  # takes a table's name and a row

"""What an engine's completion is as a call: where a chain ends, what of it is thinking, how likely
it was, and the texts of its steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from testtime.engines.base import Completion
from testtime.models.delimiters import Format, find
from testtime.strategies.node import Ids


def texts_of(
    ids: Sequence[int], ends: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> list[str]:
    """The texts between ends, in tokens; each is decoded behind a few tokens before it, so that its
    first characters come out as in the whole text.
    """
    texts, start = [], 0
    for end in ends:
        before = max(0, start - 8)
        lead = decode(ids[before:start]) if start else ""
        texts.append(decode(ids[before:end])[len(lead) :])
        start = end
    return texts


def ended(
    before: list[int], done: Completion, stop: Sequence[Ids]
) -> tuple[list[int], Literal["stop", "eos", "length"]]:
    """The ids of a chain up to the first stop sequence in it, which may have begun in what was
    stored before. Only one of a single token can stop the engine; a longer one is found here.
    """
    ids = [*before, *done.token_ids]
    single = {part[0] for part in stop if len(part) == 1}
    ends = [i for i, token in enumerate(ids[len(before) :], len(before) + 1) if token in single][:1]
    for part in (part for part in stop if len(part) > 1):
        if (at := find(ids, part, max(0, len(before) - len(part) + 1))) >= 0:
            ends.append(at + len(part))
    if ends:
        return ids[: min(ends)], "stop"
    return ids, "eos" if done.finish == "stop" else "length"


def split(done: Completion, form: Format, budget: int) -> tuple[int, bool]:
    """How many tokens of a told completion are thinking, and whether the engine closed it."""
    if done.counts is not None:
        return done.counts[0], False
    close = len(form.close)
    at = find(done.token_ids, form.close)
    if at < 0:  # never closed: no answer, which no grader can parse
        return len(done.token_ids), False
    return (budget, True) if at == budget else (at + close, False)


def logprobs(all_of_it: Sequence[float], answer: Sequence[float]) -> dict[str, Any]:
    known = [x for x in all_of_it if not math.isnan(x)]
    return {
        "logprob_mean": sum(known) / len(known) if known else None,
        "logprob_min": min(known, default=None),
        "answer_logprob": sum(answer) if len(answer) else None,
    }

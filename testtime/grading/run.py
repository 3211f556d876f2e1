"""Grade many answers: the short and cheap ones here, each distinct hard one once in a killable
worker, in which long texts are read as well: what a model writes must not be able to hold this
process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from testtime.grading.base import Grade, Grader, Work
from testtime.grading.pool import Limits, judge_all, prepare_all
from testtime.grading.registry import make, path_of

HERE = 4000  # characters of an answer that is read in this process: every grader takes milliseconds


def grade(
    grader: str,
    pairs: Sequence[tuple[str, str]],
    options: dict[str, Any] | None = None,
    workers: int | None = None,
    limits: Limits | None = None,
) -> list[Grade]:
    """One grade for each (gold, answer text), in order.

    grader: a name of `testtime.grading.names()`, or `module:Class` for one of your own; options:
    its fields. pairs: the answer text is what came after the thinking; a `<think>` block left in it
    is dropped. workers: processes at most (default: one a core, at most 8); none is started where
    nothing needs one. limits: time and memory of one judgement and of all together.

    May be called from any thread (in asyncio: `await asyncio.to_thread(grade, ...)`). Raises
    UserError for an unknown grader or option; whatever an answer does becomes a verdict.
    """
    chosen = make(grader, options or {})
    limits = limits or Limits()
    distinct = list(dict.fromkeys(pairs))
    long = [pair for pair in distinct if len(pair[0]) + len(pair[1]) > HERE]
    elsewhere = prepare_all(chosen, path_of(grader), long, workers, limits) if long else []
    prepared: dict[tuple[str, str], Grade | Work] = dict(zip(long, elsewhere, strict=True))
    for pair in distinct:
        if pair not in prepared:
            prepared[pair] = _prepare(chosen, *pair)
    works = list(dict.fromkeys(result for result in prepared.values() if isinstance(result, tuple)))
    judged: dict[Work, Grade] = {}
    if works:
        judged = dict(
            zip(
                works,
                judge_all(chosen, path_of(grader), works, workers, limits),
                strict=True,
            )
        )
    return [
        judged[result] if isinstance(result, tuple) else result
        for result in (prepared[pair] for pair in pairs)
    ]


def _prepare(grader: Grader, gold: str, answer: str) -> Grade | Work:
    try:
        return grader.prepare(gold, answer)
    except Exception as error:  # one odd answer must not lose the others their grades
        return grader.grade("error", None, None, f"{type(error).__name__}: {error}"[:200])

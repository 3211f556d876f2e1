"""The problems shown in the page: a spread over difficulty, every sample of each where there is
room, long texts cut in the middle.

Nothing is picked for being right or wrong: where not all samples fit, the first that were drawn are
shown. The whole pool is in the terminal (`testtime show RUN PROBLEM`).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from testtime import labels
from testtime.report.results import Results
from testtime.runs import transcripts

PROBLEMS = 200
SAMPLES = 16
LEAST_SAMPLES = 3
CHARACTERS = 1_600_000  # of model text in a page, shared by its models
LETTERS = 3.5  # of a token
LEAST = 400  # characters of a text that are always shown


def browser(results: Results, models: int) -> dict[str, Any]:
    """`problems` (plain data for the page, hardest first) and `lead`, a sentence saying what they
    are.
    """
    top = results.at(results.levels[-1])
    solved = top.groupby("problem_id")["score"].mean().sort_values(kind="stable")
    limit = max(1, PROBLEMS // models)
    spread = np.linspace(0, len(solved) - 1, min(limit, len(solved))).round().astype(int)
    names = [str(name) for name in solved.index[np.unique(spread)]]
    samples = [int(s) for s in sorted(results.scores["sample"].unique())]
    room = CHARACTERS // models
    shown = samples[: _fitting(results, len(names), room)]
    told = transcripts.read(results.run.path, results.scores, names, shown)
    problems = [_plain(transcript) for transcript in told]
    if not any(_texts(problem) for problem in problems):
        return {
            "problems": [],
            "lead": "This run holds no texts, so there is nothing to read here.",
        }
    for problem in problems:
        problem["solved"] = _known(solved[problem["id"]])
    cut = _clip(problems, room)
    which = (
        "every sample"
        if len(shown) == len(samples)
        else "the first " + (labels.counted(len(shown), "sample"))
    )
    lead = (
        f"{len(problems)} of {labels.counted(len(solved), 'problem')}, hardest first, spread "
        f"evenly over how often they were solved; {which} of each."
    )
    if cut:
        lead += " Long texts are shortened in the middle."
    if cut or len(shown) < len(samples) or len(problems) < len(solved):
        lead += " All of them: testtime show RUN PROBLEM."
    return {"problems": problems, "lead": lead}


def _fitting(results: Results, problems: int, room: int) -> int:
    """How many samples of each problem there is room for, judged by their tokens."""
    top = results.at(results.levels[-1])
    counted = [c for c in ("thinking_tokens", "answer_tokens") if c in top]
    tokens = float(top[counted].mean().sum()) if counted else math.nan
    rows = 200 * len(results.levels)  # what the answers' texts and verdicts take
    each = LETTERS * (tokens if tokens == tokens else room) + rows
    return max(LEAST_SAMPLES, min(SAMPLES, int(room / (problems * each))))


def _plain(transcript: transcripts.Transcript) -> dict[str, Any]:
    """A transcript as the page's script reads it."""
    chains = [
        {
            **vars(c),
            "segments": c.segments or [],
            "answers": [dict(vars(a)) for a in c.answers],
            "tools": [dict(vars(t)) for t in c.tools],
        }
        for c in transcript.chains
    ]
    names = {"id": transcript.problem_id, "question": transcript.question}
    return {**names, "gold": transcript.gold, "chains": chains}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _texts(problem: dict[str, Any]) -> bool:
    return any(c["segments"] or any(a["text"] for a in c["answers"]) for c in problem["chains"])


def _size(problem: dict[str, Any]) -> int:
    """Characters of a problem's chains, with what each answer's row costs in the page."""
    return sum(
        sum(len(text) + 20 for _, text in chain["segments"])
        + sum(len(answer["text"]) + 100 for answer in chain["answers"])
        for chain in problem["chains"]
    )


def _clip(problems: list[dict[str, Any]], room: int) -> bool:
    """Shorten texts in place where all together exceed the room; says whether it did."""
    every = [chain for problem in problems for chain in problem["chains"]]
    longest = max((len(problem["question"]) for problem in problems), default=0)
    if sum(map(_size, problems)) <= room and longest <= 20_000:
        return False
    texts = sum(len(c["segments"]) + len(c["answers"]) + 1 for c in every)
    limit = max(LEAST, room // max(texts, 1))
    for chain in every:
        chain["segments"] = [(end, _middle_out(text, limit)) for end, text in chain["segments"]]
        for answer in chain["answers"]:
            answer["text"] = _middle_out(answer["text"], limit)
    for problem in problems:
        problem["question"] = _middle_out(problem["question"], 20_000)
    return True


def _middle_out(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} […{len(text) - 2 * half:,} characters left out…] {text[-half:]}"

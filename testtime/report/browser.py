"""The problems shown in the page: a spread over difficulty, the first samples of each, long texts
cut in the middle.

Nothing is picked for being right or wrong: of each problem the first samples drawn are shown. The
whole pool is in the terminal (`testtime show RUN PROBLEM`).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from testtime.report.results import Results
from testtime.runs import transcripts

PROBLEMS = 200
SAMPLES = 3
CHARACTERS = 2_500_000  # of model text in a page, shared by its models
LEAST = 400  # characters of a text that are always shown


def browser(results: Results, models: int) -> dict[str, Any]:
    """`problems` (plain data for the page, hardest first) and `lead`, a sentence saying what they
    are.
    """
    top = results.at(results.levels[-1])
    solved = top.groupby("problem_id")["score"].mean().sort_values(kind="stable")
    limit = max(1, PROBLEMS // models)
    places = np.unique(np.linspace(0, len(solved) - 1, min(limit, len(solved))).round().astype(int))
    names = [str(name) for name in solved.index[places]]
    first = sorted(results.scores["sample"].unique())[:SAMPLES]
    told = transcripts.read(results.run.path, results.scores, names, [int(s) for s in first])
    problems = [{**_plain(t), "solved": _known(solved[t.problem_id])} for t in told]
    if not any(
        c["segments"] or any(a["text"] for a in c["answers"]) for p in problems for c in p["chains"]
    ):
        return {
            "problems": [],
            "lead": "This run holds no texts, so there is nothing to read here.",
        }
    budget = CHARACTERS // models
    texts = sum(len(c["segments"]) + len(c["answers"]) + 1 for p in problems for c in p["chains"])
    cut = _clip(problems, max(LEAST, budget // max(texts, 1)), budget)
    lead = (
        f"{len(problems)} of {len(solved):,} problems, hardest first, spread evenly over how "
        f"often they were solved;"
        f" the first {len(first)} samples of each."
    )
    if cut:
        lead += " Long texts are shortened in the middle."
    return {"problems": problems, "lead": lead + " All of them: testtime show RUN PROBLEM."}


def _plain(transcript: transcripts.Transcript) -> dict[str, Any]:
    """A transcript as the page's script reads it."""
    data = asdict(transcript)
    chains = [{**chain, "segments": chain["segments"] or []} for chain in data["chains"]]
    return {
        "id": data["problem_id"],
        "question": data["question"],
        "gold": data["gold"],
        "chains": chains,
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _clip(problems: list[dict[str, Any]], limit: int, budget: int) -> bool:
    """Shorten texts in place where all together exceed the budget; says whether it did."""
    parts = [c["segments"] for p in problems for c in p["chains"]]
    answers = [a for p in problems for c in p["chains"] for a in c["answers"]]
    total = sum(len(s[1]) for segments in parts for s in segments) + sum(
        len(a["text"]) for a in answers
    )
    longest = max((len(p["question"]) for p in problems), default=0)
    if total <= budget and longest <= 20_000:
        return False
    for segments in parts:
        segments[:] = [(end, _middle_out(text, limit)) for end, text in segments]
    for answer in answers:
        answer["text"] = _middle_out(answer["text"], limit)
    for problem in problems:
        problem["question"] = _middle_out(problem["question"], 20_000)
    return True


def _middle_out(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} […{len(text) - 2 * half:,} characters left out…] {text[-half:]}"

"""The problems of one model as the page's script reads them: every problem's verdicts, and the
texts of as many samples as there is room for, long ones cut in the middle.

Nothing is picked for being right or wrong: where not all samples fit, the first that were drawn are
shown. The whole pool is in the terminal (`testtime show RUN PROBLEM`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from testtime import labels
from testtime.report.embedded import Browser, encoded
from testtime.report.marks import marks, rounded
from testtime.report.results import Results
from testtime.runs import transcripts

if TYPE_CHECKING:
    import pandas as pd

PROBLEMS = 2000
CHARACTERS = 24_000_000  # of model text in a report, shared by its models
LEAST_SAMPLES = 3
LETTERS = 3.5  # of a token
LEAST = 400  # characters of a text that are always shown
LONGEST_QUESTION = 20_000


def browser(results: Results, name: str, models: int, shares: pd.DataFrame) -> Browser:
    """The problems of a model that shares the room with so many; a spread over difficulty where
    they are too many. shares: of `differences.settings`.
    """
    solved = results.rates.iloc[:, -1].sort_values(kind="stable")
    limit = max(1, PROBLEMS // models)
    spread = np.linspace(0, len(solved) - 1, min(limit, len(solved))).round().astype(int)
    ids = [str(problem) for problem in solved.index[np.unique(spread)]]
    room = CHARACTERS // models // len(ids)
    samples = [int(s) for s in sorted(results.scores["sample"].unique())]
    shown = samples[: _fitting(results, room)]
    problems, texts, told, cut = [], [], False, False
    for transcript in transcripts.read(results.run.path, results.scores, ids, shown):
        question = _middle_out(transcript.question, LONGEST_QUESTION)
        problems.append((transcript.problem_id, question, transcript.gold))
        chains = [_plain(chain) for chain in transcript.chains]
        told = told or any(map(_has_text, chains))
        cut = _clip(chains, room) or cut
        texts.append(encoded(chains))
    lead = f"{labels.counted(len(ids), 'problem')}, hardest first"
    if len(ids) < len(solved):
        lead = f"{len(ids)} of {lead}, spread evenly over how often they were solved"
    if not told:
        lead += ". This run holds no texts: there are verdicts alone."
    else:
        all_fit = len(shown) == len(samples)
        of = "every sample" if all_fit else f"the first {labels.counted(len(shown), 'sample')}"
        lead += f"; texts of {of} of each."
        if cut:
            lead += " Long texts are shortened in the middle."
        if cut or not all_fit or len(ids) < len(solved):
            lead += " All of them: testtime show RUN PROBLEM."
    levels = [labels.level(level) for level in results.levels]
    known = marks(results, ids), _settings(shares.loc[ids], levels)
    return Browser(name, levels, problems, *known, texts if told else [], lead)


def verdicts(results: Results, name: str, shares: pd.DataFrame) -> Browser:
    """The same without texts and votes, for differences between many models."""
    ids = [str(problem) for problem in results.rates.index]
    levels = [labels.level(level) for level in results.levels]
    told = [(problem, "", "") for problem in ids]
    known = marks(results, ids, votes=False), _settings(shares.loc[ids], levels)
    return Browser(name, levels, told, *known)


def _settings(shares: pd.DataFrame, levels: list[str]) -> list[tuple[int, str, list[float | None]]]:
    """Each setting of `differences.settings`: its level's place, what of the samples, and the share
    of right answers of each problem.
    """
    names = (shares.columns.get_level_values(index) for index in (0, 1))
    columns = zip(*names, shares.to_numpy(dtype=float).T, strict=True)
    return [(levels.index(level), what, rounded(column)) for level, what, column in columns]


def _fitting(results: Results, room: int) -> int:
    """How many samples of a problem there is room for, judged by their tokens."""
    top = results.at(results.levels[-1])
    counted = [c for c in ("thinking_tokens", "answer_tokens") if c in top]
    tokens = float(top[counted].mean().sum()) if counted else math.nan
    rows = 200 * len(results.levels)  # what the answers' texts and verdicts take
    each = LETTERS * (tokens if tokens == tokens else LEAST) + rows
    return max(LEAST_SAMPLES, int(room / each))


def _plain(chain: transcripts.Chain) -> dict[str, Any]:
    """A chain as the page's script reads it."""
    answers = [dict(vars(answer)) for answer in chain.answers]
    tools = [dict(vars(tool)) for tool in chain.tools]
    return {**vars(chain), "segments": chain.segments or [], "answers": answers, "tools": tools}


def _has_text(chain: dict[str, Any]) -> bool:
    return bool(chain["segments"]) or any(answer["text"] for answer in chain["answers"])


def _lengths(chain: dict[str, Any]) -> Iterator[int]:
    """Characters of a chain's texts, with what each one's row costs in the page."""
    yield from (len(text) + 20 for _, text in chain["segments"])
    yield from (len(answer["text"]) + 100 for answer in chain["answers"])


def _clip(chains: list[dict[str, Any]], room: int) -> bool:
    """Shorten the texts of a problem in place where they exceed its room; says whether it did."""
    lengths = [length for chain in chains for length in _lengths(chain)]
    if sum(lengths) <= room:
        return False
    limit = max(LEAST, room // len(lengths))
    for chain in chains:
        chain["segments"] = [(end, _middle_out(text, limit)) for end, text in chain["segments"]]
        for answer in chain["answers"]:
            answer["text"] = _middle_out(answer["text"], limit)
    return True


def _middle_out(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} […{len(text) - 2 * half:,} characters left out…] {text[-half:]}"

"""Accuracy so far, while a pool is drawn: the last attempt of each sample, at the largest budget,
is graded as it comes.

The verdicts go to the pool like all others, so nothing is graded twice. Grading may take a
hundredth of the time that drawing takes; what does not fit waits until the pool is drawn. Chains
that end early are short, so the first numbers are not yet those of the run.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict

from testtime.grading import grade
from testtime.grading.registry import make
from testtime.runs.progress import Progress
from testtime.runs.verdicts import SCORE_OF, grade_key, grader_id, reference
from testtime.storage.tables import GradeRow, ProblemRow
from testtime.storage.writer import Writer

SHARE = 0.01  # of the time of drawing
MOST = 64  # answers graded at a time
WAITING = 4096  # answers kept for it; later ones push out earlier ones


class LiveAccuracy:
    """problems: rows of the problems table."""

    def __init__(self, problems: Sequence[ProblemRow]) -> None:
        parsed = {spec: json.loads(spec) for spec in {row.grader for row in problems}}
        # Graders that run programs or other models wait for the end.
        cheap = {s: p for s, p in parsed.items() if make(p["name"], p["options"]).runs == "worker"}
        self._graders = {spec: (named, grader_id(spec)) for spec, named in cheap.items()}
        told = {spec: reference(spec) for spec in cheap}
        self._asked = {
            row.problem_id: (told[row.grader](row.question, row.gold), row.grader)
            for row in problems
            if row.grader in cheap
        }
        self._began, self._spent = time.monotonic(), 0.0
        self._waiting: deque[tuple[str, str, str]] = deque(maxlen=WAITING)  # grader, gold, text
        self._right, self._scored = 0.0, 0

    def add(self, problem_id: str, text: str) -> None:
        """A sample's last attempt has this answer."""
        if problem_id in self._asked:
            gold, spec = self._asked[problem_id]
            self._waiting.append((spec, gold, text))

    async def step(self, writer: Writer, progress: Progress) -> None:
        """Grade some of what waits, where there is time for it."""
        began = time.monotonic()
        if not self._waiting or self._spent > SHARE * (began - self._began):
            return
        batch = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
        for spec, (grader, identity) in self._graders.items():
            pairs = [(gold, text) for own, gold, text in batch if own == spec]
            if not pairs:
                continue
            try:
                found = await asyncio.to_thread(grade, grader["name"], pairs, grader["options"], 1)
            except (
                Exception
            ):  # grading after the drawing will say it; the drawing must not stop for it
                self._asked = {}
                self._waiting.clear()
                return
            for (gold, text), one in zip(pairs, found, strict=True):
                writer.add("grades", GradeRow(grade_key(identity, gold, text), **asdict(one)))
                score = SCORE_OF.get(one.verdict)
                if score is not None:
                    self._right, self._scored = self._right + score, self._scored + 1
        self._spent += time.monotonic() - began
        if self._scored:
            progress.accuracy(self._right / self._scored, self._scored)

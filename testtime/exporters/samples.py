"""A run's samples one by one with their texts, as the logs of other tools hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testtime import labels
from testtime.runs import transcripts

if TYPE_CHECKING:
    import pandas as pd

    from testtime.runs.run import Run


@dataclass(frozen=True)
class Sample:
    """One answer at one level. row: its row of the scores table."""

    problem: transcripts.Transcript
    number: int
    thinking: str
    text: str
    row: dict[str, Any]

    def count(self, column: str) -> int:
        """Tokens of a column of the scores table; 0 where they are not known."""
        value = self.row.get(column)
        return 0 if value is None or value != value else int(value)

    @property
    def usage(self) -> dict[str, int]:
        """Tokens by kind; reasoning_tokens are among output_tokens."""
        prompt, thinking = self.count("prompt_tokens"), self.count("thinking_tokens")
        total = thinking + self.count("answer_tokens")
        return {
            "input_tokens": prompt,
            "output_tokens": total,
            "total_tokens": prompt + total,
            "reasoning_tokens": thinking,
        }

    @property
    def key(self) -> str:
        """What it votes for; empty where it does not vote."""
        key = self.row.get("answer_key")
        return key if isinstance(key, str) else ""


def told(run: Run, scores: pd.DataFrame) -> list[transcripts.Transcript]:
    """The transcripts of all problems of one model's scores."""
    problems = [str(p) for p in dict.fromkeys(scores["problem_id"])]
    return list(transcripts.read(run.path, scores, problems))


def at_level(
    told: Sequence[transcripts.Transcript], level: labels.Level, scores: pd.DataFrame
) -> Iterator[Sample]:
    """The samples of one level, whose scores these are; those that were not drawn are left out."""
    rows = {(str(r["problem_id"]), int(r["sample"])): r for r in scores.to_dict("records")}
    for problem in told:
        for chain in problem.chains:
            answer = next(
                (a for a in chain.answers if labels.level(level) in a.labels or not a.labels), None
            )
            row = rows.get((problem.problem_id, chain.sample))
            if answer and row:
                cut = answer.tokens if answer.forced and answer.tokens is not None else None
                thinking = "".join(
                    text for end, text in chain.segments or [] if cut is None or end <= cut
                )
                found: dict[str, Any] = {str(name): value for name, value in row.items()}
                yield Sample(problem, chain.sample, thinking, answer.text, found)

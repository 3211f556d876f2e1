"""What a grader is, and what it says about one answer.

A grader works in two steps. `prepare` runs in the caller's process: it finds the final answer in
the text and decides the cheap cases. What it cannot decide safely it hands on as a `Work` tuple,
and `judge` decides that in a worker process that can be killed. Equal works are judged once, so
forty samples of one problem cost a handful of judgements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

# begins the detail of an error that another try may mend: it is not kept
UNREACHED = "the judge did not answer"
# begins the detail of a correct grade that rests on conventions, named after it
BY_CONVENTION = "by convention: "
Verdict = Literal["correct", "wrong", "unparsed", "timeout", "error"]
Work = tuple[str, ...]
"""Texts that determine the grade; the last is the extracted answer, kept in the grade when
`judge` does not finish.
"""


@dataclass(frozen=True, slots=True)
class Grade:
    """One answer's grade.

    verdict: correct, wrong, unparsed (no answer in the text), timeout (a limit stopped the grader),
    error (it failed). extracted: the final answer as found in the text, None where there is none.
    answer_key: equal for answers that count as the same vote; never derived from the gold; None
    does not vote. version: the grader's name and version; a changed version means that old grades
    no longer hold. detail: why, for people.
    """

    verdict: Verdict
    extracted: str | None
    answer_key: str | None
    version: str
    detail: str = ""


class Grader(BaseModel):
    """A grader's options are its fields. Subclasses set `version` and write `prepare`, and `judge`
    if it hands work on.

    runs: where `judge` runs: "worker", a killable process; "thread", for graders that start a
    process of their own; "batch", `judge_all` takes all works at once. asks: the gold it reads is
    JSON, [question, gold]. indifferent: options that change no verdict.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: ClassVar[str]
    runs: ClassVar[Literal["worker", "thread", "batch"]] = "worker"
    asks: ClassVar[bool] = False
    indifferent: ClassVar[frozenset[str]] = frozenset()

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        """The grade where it is cheap and safe to decide, else the work for `judge`."""
        raise NotImplementedError

    def judge(self, work: Work) -> Grade:
        """The grade of one work, in a worker."""
        raise NotImplementedError

    def judge_all(self, works: Sequence[Work]) -> list[Grade]:
        """The grades of all works, in order, for graders that run in batches."""
        raise NotImplementedError

    def complaint(self, gold: str) -> str | None:
        """What is wrong with a problem's gold, so that no answer could be graded; None where
        nothing is.
        """
        return None if gold.strip() else "is blank"

    def grade(
        self,
        verdict: Verdict | bool,
        extracted: str | None,
        answer_key: str | None = None,
        detail: str = "",
    ) -> Grade:
        """A grade with this grader's version; True and False stand for correct and wrong."""
        if isinstance(verdict, bool):
            verdict = "correct" if verdict else "wrong"
        return Grade(verdict, extracted, answer_key, self.version, detail)

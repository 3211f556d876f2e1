"""Answers to reasoning-gym's problems: the answer itself, or whatever the data set's own scorer
accepts.

Many of its problems have one answer and a comparison is enough. Others have many (any path, any
program), and only the data set's scorer knows; but several scorers execute what the model wrote, so
they run in the sandbox only.
"""

from __future__ import annotations

import json
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from testtime.grading import sandbox
from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking, announced, last_box

SCORER = """
import json, sys
asked = json.load(sys.stdin)
from reasoning_gym.factory import create_dataset
entry = {"question": asked["question"], "answer": asked["answer"], "metadata": asked["metadata"]}
print("score", create_dataset(asked["dataset"], size=1, seed=0).score_answer(asked["given"], entry))
"""


class Gym(Grader):
    """Correct where the final answer is the gold but for spaces, or (`own_scorer`) where the data
    set's scorer gives 1.

    The gold is JSON: {"dataset", "question", "answer", "metadata"}. The own scorer costs seconds of
    CPU an answer.
    """

    version: ClassVar[str] = "gym-1"
    runs: ClassVar[Literal["worker", "thread"]] = "thread"
    own_scorer: bool = False

    @model_validator(mode="after")
    def _has_a_sandbox(self) -> Self:
        if self.own_scorer and (missing := sandbox.available()):
            raise ValueError(f"reasoning-gym's scorers run in the sandbox only, and {missing}")
        return self

    def complaint(self, gold: str) -> str | None:
        parsed = json.loads(gold)
        lacking = {"dataset", "question", "answer", "metadata"} - set(parsed)
        return f"lacks {', '.join(sorted(lacking))}" if lacking else None

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        text = after_thinking(answer).strip()
        given = text if "<answer>" in answer else last_box(text) or announced(text) or text
        if not given:
            return self.grade("unparsed", None, None, "no answer in the text")
        key = " ".join(given.split())[:2000]
        wanted = " ".join(str(json.loads(gold)["answer"]).split())
        if not self.own_scorer or key == wanted:
            return self.grade(key == wanted, given[:2000], key)
        return (gold, key, given)

    def judge(self, work: Work) -> Grade:
        gold, key, found = work
        asked = json.dumps({**json.loads(gold), "given": found})
        bounds = sandbox.Bounds(cpu_s=30, wall_s=90)
        outcome = sandbox.run(SCORER, bounds, stdin=asked, packages=("*",))
        if outcome.status == "timeout":
            return self.grade("timeout", found[:2000], None, "the scorer did not end")
        last = outcome.output.strip().rsplit("\n", 1)[-1]
        if outcome.status != "finished" or not last.startswith("score "):
            return self.grade("error", found[:2000], None, f"the scorer failed: {last}"[:200])
        return self.grade(float(last.removeprefix("score ")) >= 1, found[:2000], key, last)

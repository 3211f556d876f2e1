"""Programs, graded by running their tests in the sandbox.

Who judges stands outside: asserts are taken apart (`split`), the program's calls run in the
sandbox, what they must give never enters it. Tests that cannot be taken apart run beside the
program, which could fake their success; the grade's detail says INSIDE, so that they can be
counted.

The gold is JSON with the tests, as a task's `gold` mapping gives it; four kinds are known:
`{"prompt", "test", "entry_point"}` (HumanEval), `{"tests", "setup"}` with asserts, a list or a text
(MBPP), `{"inputs", "outputs"}` (standard input and what must be printed), `{"public", "private",
"metadata"}` (LiveCodeBench).
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from testtime.grading import contests, sandbox, split
from testtime.grading.base import Grade, Grader, Work
from testtime.grading.extract import after_thinking

_BLOCK = re.compile(r"```(?:[Pp]ython3?|py)?[ \t]*\r?\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_NEXT = re.compile(r"\n(?=(?:def|class|if|print|assert|@)\b|#|```)")
LONGEST = 100_000
INSIDE = "its tests ran beside the program"
_KINDS = (
    {"prompt", "test", "entry_point"},
    {"tests"},
    {"inputs", "outputs"},
    {"public", "private", "metadata"},
)


@dataclass(frozen=True)
class Run:
    """One run of the sandbox. wanted: what must be printed; tests: what its calls must give; with
    neither, the source holds its own tests.
    """

    source: str
    given: str = ""
    wanted: str | None = None
    tests: split.Split | None = None

    @property
    def inside(self) -> bool:
        return self.wanted is None and self.tests is None


class Code(Grader):
    """Correct where every test passes within the limits.

    allow_code: must be true: this grader runs what a model wrote. allow_unsandboxed: run it with
    the limits alone where bubblewrap does not work; the program can then read files, use the
    network and end other processes. cpu_s, wall_s: seconds of one run; a run over cpu_s is wrong,
    one over wall_s (asleep, or a busy machine) a timeout.
    """

    version: ClassVar[str] = "code-2"
    runs: ClassVar[Literal["worker", "thread"]] = "thread"
    allow_code: bool = False
    allow_unsandboxed: bool = False
    cpu_s: int = Field(default=10, ge=1)
    wall_s: float = Field(default=30.0, gt=0)
    memory_mb: int = Field(default=1024, ge=128)
    processes: int = Field(default=32, ge=1)
    packages: tuple[str, ...] = ("numpy",)

    @model_validator(mode="after")
    def _may_run(self) -> Self:
        if not self.allow_code:
            raise ValueError(
                "it runs programs that a model wrote; to permit that set its option allow_code: "
                "true"
            )
        if not self.allow_unsandboxed and (missing := sandbox.available()):
            raise ValueError(
                f"{missing}; or set allow_unsandboxed: true to run the programs without a sandbox"
            )
        return self

    def complaint(self, gold: str) -> str | None:
        tests = json.loads(gold)
        if not isinstance(tests, dict) or not any(kind <= tests.keys() for kind in _KINDS):
            return "holds no tests"
        counted = tests.get("tests", tests.get("inputs", tests.get("test", True)))
        return None if counted else "holds no tests"

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        tests = json.loads(gold)
        program = program_of(after_thinking(answer), tests)
        if program is None:
            return self.grade("unparsed", None, None, "no program in the answer")
        if len(program) > LONGEST:
            return self.grade(
                "unparsed", program[:2000], None, f"the program has {len(program)} characters"
            )
        return (gold, program)

    def judge(self, work: Work) -> Grade:
        gold, program = work
        tests = json.loads(gold)
        inside = False
        for run in runs_of(tests, program):
            grade = self._judged(run, program)
            if grade is not None:
                return grade
            inside = inside or run.inside
        return self.grade(True, program, None, INSIDE if inside else "")

    def _judged(self, run: Run, program: str) -> Grade | None:
        """The grade of a run that failed; None for one that passed."""
        bounds = sandbox.Bounds(self.cpu_s, self.wall_s, self.memory_mb, self.processes)
        calls = run.tests.calls if run.tests else ()
        source = f"{run.source}\n\n{run.tests.setup}\n" if run.tests else run.source
        outcome = sandbox.run(
            source,
            bounds,
            run.given,
            self.packages,
            sandboxed=sandbox.available() is None,
            calls=calls,
        )
        if run.tests and (failure := run.tests.failure(outcome.results)):
            return self.grade(False, program, None, failure[:200])
        if outcome.status == "timeout":
            return self.grade("timeout", program, None, f"no end after {self.wall_s:g} s")
        if outcome.status != "finished":
            last = outcome.output.strip().rsplit("\n", 1)[-1][:200]
            reason = {
                "cpu": f"over {self.cpu_s} s of CPU time",
                "output": "too much output",
                "memory": f"over {self.memory_mb} MiB of memory",
            }
            return self.grade(False, program, None, reason.get(outcome.status, last))
        if run.wanted is not None and not _same_output(outcome.output, run.wanted):
            return self.grade(
                False, program, None, f"printed {outcome.output[:80]!r}, not {run.wanted[:80]!r}"
            )
        return None


def program_of(answer: str, tests: dict[str, Any]) -> str | None:
    """The program in an answer: its last code block that defines what is asked for, or the text as
    a continuation.
    """
    entry = tests.get("entry_point")
    blocks = [block for block in _BLOCK.findall(answer) if block.strip()]
    if entry:
        blocks = [
            block for block in blocks if re.search(rf"\bdef\s+{re.escape(entry)}\b", block)
        ] or blocks
    program = blocks[-1] if blocks else answer
    if not program.strip():
        return None
    if not entry:
        return program if blocks or _parses(program) else None
    prompt = str(tests["prompt"])
    if re.search(rf"\bdef\s+{re.escape(entry)}\b", program):
        return f"{prompt}\n    pass\n\n{program}"
    body = program if blocks else _NEXT.split(program, maxsplit=1)[0]
    if not re.match(r"\s*\n?[ \t]+\S", body):
        body = "    " + body.strip("\n").replace("\n", "\n    ")
    return prompt + body


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def runs_of(tests: dict[str, Any], program: str) -> list[Run]:
    """The runs that grade a program."""
    if "private" in tests:
        printed, calls = contests.cases(tests)
        runs = [Run(contests.HEADER + program, given, wanted) for given, wanted in printed]
        if calls:
            runs.append(Run(contests.HEADER + program, tests=split.of_pairs(calls)))
        return runs
    if "inputs" in tests:
        return [
            Run(program, str(given), str(wanted))
            for given, wanted in zip(tests["inputs"], tests["outputs"], strict=True)
        ]
    if "entry_point" in tests:
        apart = split.of_check(tests["test"], tests["entry_point"])
        if apart is not None:
            return [Run(program, tests=apart)]
        return [Run(f"{program}\n\n{tests['test']}\n\ncheck({tests['entry_point']})\n")]
    asserts = tests["tests"] if isinstance(tests["tests"], str) else "\n".join(tests["tests"])
    setup = str(tests.get("setup") or "")
    apart = split.of_asserts(asserts, "")
    if apart is not None:
        return [Run(f"{setup}\n{program}", tests=apart)]
    return [Run(f"{setup}\n{program}\n\n{asserts}\n")]


def _same_output(printed: str, wanted: str) -> bool:
    """Equal line by line but for spaces at the ends."""
    lines = [[line.rstrip() for line in text.strip().split("\n")] for text in (printed, wanted)]
    return lines[0] == lines[1]

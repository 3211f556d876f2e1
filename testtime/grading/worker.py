"""The process that judges: `python -m testtime.grading.worker`, started by `pool`.

It reads one line with the grader, the step (prepare or judge) and its limits, then lines of works,
and answers each work with one line. The timer of a judgement counts CPU time and raises in the
grader's code; the kernel's own CPU limit ends a process that does not listen (one big-number
operation can hold the interpreter for minutes), also when the parent is long gone.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import signal
import sys
import time
from types import FrameType
from typing import Any

from testtime.grading.pool import RECYCLED
from testtime.grading.registry import make
from testtime.grading.watch import resident

GROWN = 0.7  # of the memory limit: after that a fresh process is cheaper than the risk


class OutOfTime(BaseException):
    """Raised in the middle of a judgement. Libraries may swallow it (bare `except:`), so that a
    judgement was cut short is also remembered: what it then says is no verdict.
    """

    happened = False


def main() -> None:
    """Serve until the input closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), 1
    )  # what a library prints must not mix with the answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    hello = json.loads(sys.stdin.readline())
    grader = make(hello["path"], hello["options"])
    limit = hello["memory_mb"] << 20
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(
            resource.RLIMIT_AS,
            (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard),
        )
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _out_of_time)
    print('"ready"', file=answers)
    for line in sys.stdin:
        for work in json.loads(line):
            print(json.dumps(_judged(grader, hello["step"], work, hello["cpu_s"])), file=answers)
            # Not ru_maxrss, which a child inherits: that of a large parent would end every worker.
            if resident(os.getpid()) > GROWN * limit:
                os._exit(RECYCLED)


def _die_with_parent() -> None:
    """Linux ends this process with the thread that started it; elsewhere the closed input and the
    CPU limit do.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _judged(grader: Any, step: str, work: list[str], cpu_s: float) -> list[Any]:
    """[verdict, extracted, answer_key, detail], or ["work", texts] where `prepare` hands it on."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + cpu_s + 0.5), hard))
    OutOfTime.happened = False
    result: list[Any] = []
    extracted = work[-1] if step == "judge" else None
    try:
        try:
            signal.setitimer(signal.ITIMER_PROF, cpu_s, 0.5)
            said = grader.judge(tuple(work)) if step == "judge" else grader.prepare(*work)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if isinstance(said, tuple):
            result = ["work", list(said)]
        else:
            result = [said.verdict, said.extracted, said.answer_key, said.detail]
    except OutOfTime:
        pass
    except MemoryError:
        result = ["error", extracted, None, "out of memory"]
    except Exception as error:
        result = ["error", extracted, None, f"{type(error).__name__}: {error}"[:200]]
    if OutOfTime.happened:
        return ["timeout", extracted, None, f"stopped after {cpu_s:g} s of CPU time"]
    return result


def _out_of_time(signum: int, frame: FrameType | None) -> None:
    OutOfTime.happened = True
    raise OutOfTime


if __name__ == "__main__":
    main()

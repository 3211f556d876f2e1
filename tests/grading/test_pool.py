"""The worker pool: killed, crashed and overgrown workers cost one verdict each, never their
neighbours'.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from testtime.grading import Limits, grade, pool

ROGUE = "tests_rogue_grader:Rogue"
SOURCE = '''
import os, signal, time
from typing import ClassVar
from testtime.grading import Grade, Grader, Work

class Rogue(Grader):
    """A new grader in one file. It does what the answer says."""
    version: ClassVar[str] = "rogue-1"
    folder: str

    def prepare(self, gold: str, answer: str) -> Grade | Work:
        return (gold, answer)

    def judge(self, work: Work) -> Grade:
        gold, answer = work
        with open(os.path.join(self.folder, "judged"), "a") as file:
            file.write(answer + "\\n")
        if answer == "spin":
            while True: pass
        if answer == "deaf":
            while True:
                try:
                    while True: pass
                except BaseException: pass
        if answer == "swallow":
            try:
                while True: pass
            except BaseException: return self.grade(False, answer, answer)
        if answer == "sleep": time.sleep(1000)
        if answer == "die": os.kill(os.getpid(), signal.SIGKILL)
        if answer == "eat": bytearray(4 << 30)
        if answer == "raise": raise ValueError("no")
        if answer == "print": print("x" * 100_000)
        return self.grade(gold == answer, answer, answer)
'''
LIMITS = Limits(cpu_s=0.5, wall_s=6)


@pytest.fixture
def rogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "tests_rogue_grader.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield {"folder": str(tmp_path)}
    sys.modules.pop("tests_rogue_grader", None)


def test_bad_answers_cost_only_their_own_verdicts(rogue: dict[str, str], tmp_path: Path) -> None:
    bad = ["spin", "deaf", "swallow", "die", "eat", "raise", "print"]
    answers = [word for number, word in enumerate(bad) for word in (f"good {number}", word)] + [
        "good end"
    ]
    found = grade(ROGUE, [(answer, answer) for answer in answers], rogue, workers=2, limits=LIMITS)
    verdicts = {answer: g.verdict for answer, g in zip(answers, found, strict=True)}
    assert verdicts.pop("spin") == verdicts.pop("deaf") == verdicts.pop("swallow") == "timeout"
    assert verdicts.pop("die") == verdicts.pop("eat") == verdicts.pop("raise") == "error"
    assert set(verdicts.values()) == {"correct"}
    judged = (tmp_path / "judged").read_text().split("\n")
    assert all(
        judged.count(answer) == 1 for answer in answers
    )  # a neighbour's finished work is not done again


def test_the_wall_clock_stops_what_uses_no_cpu(rogue: dict[str, str]) -> None:
    found = grade(
        ROGUE, [("a", "sleep"), ("a", "a")], rogue, workers=1, limits=Limits(cpu_s=1, wall_s=1.5)
    )
    assert [g.verdict for g in found] == ["timeout", "correct"]
    assert found[0].extracted == "sleep"


def test_the_total_limit_leaves_timeouts(rogue: dict[str, str]) -> None:
    pairs = [("a", "sleep"), ("b", "b")]
    found = grade(ROGUE, pairs, rogue, workers=1, limits=Limits(wall_s=60, total_s=3))
    assert found[0].verdict == "timeout" and "limit of 3 s" in found[0].detail


def test_equal_pairs_are_judged_once(rogue: dict[str, str], tmp_path: Path) -> None:
    found = grade(ROGUE, [("a", "a")] * 500 + [("b", "a")] * 500, rogue)
    assert [g.verdict for g in found] == ["correct"] * 500 + ["wrong"] * 500
    assert (tmp_path / "judged").read_text().count("\n") == 2


def test_a_large_parent_costs_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child's ru_maxrss begins with its parent's: beside a loaded model every answer had a worker
    of its own, and 500 took five minutes.
    """
    started = []
    begin = pool._Pool._start
    monkeypatch.setattr(pool._Pool, "_start", lambda self: (started.append(1), begin(self))[1])
    ballast = bytearray(b"x") * (800 << 20)
    answers = grade(
        "math", [("2", rf"\boxed{{\frac{{{2 * i}}}{{{i}}}}}") for i in range(1, 9)], workers=1
    )
    assert len(ballast) and {one.verdict for one in answers} == {"correct"}
    assert len(started) <= 2  # one to read the answers, one to judge them


def test_from_a_thread_and_from_an_event_loop(rogue: dict[str, str]) -> None:
    results: list[str] = []
    thread = threading.Thread(
        target=lambda: results.append(grade(ROGUE, [("a", "a")], rogue)[0].verdict)
    )
    thread.start()
    thread.join()

    async def inside() -> str:
        return (await asyncio.to_thread(grade, ROGUE, [("a", "a")], rogue))[0].verdict

    assert [*results, asyncio.run(inside())] == ["correct", "correct"]


def test_no_worker_where_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    pairs = [
        ("42", r"\boxed{42}"),
        ("1/2", r"\boxed{0.5}"),
        (r"\text{yes}", "Yes"),
        ("7", "8"),
        ("x+1", "$x + 1$"),
    ]
    assert [g.verdict for g in grade("math", pairs)] == [
        "correct",
        "correct",
        "correct",
        "wrong",
        "correct",
    ]
    assert grade("math", []) == []


def test_a_worker_that_cannot_start_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="grading workers do not start"):
        grade("math", [("x+1", "1+x")])


def test_workers_import_no_heavy_library() -> None:
    code = (
        "import sys, testtime.grading.worker, testtime.grading.maths, math_verify; "
        "print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "pandas", "numpy", "scipy", "transformers"} & set(loaded)


@pytest.mark.slow
def test_no_orphan_is_left_when_the_parent_is_killed(rogue: dict[str, str], tmp_path: Path) -> None:
    script = (
        "from testtime.grading import grade, Limits\n"
        f"grade({ROGUE!r}, [('a', 'deaf'), ('a', 'sleep')] + [('a', str(i)) for i in range(50)],"
        f" {rogue!r}, workers=2, limits=Limits(cpu_s=60, wall_s=60))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
    }
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    while not (tmp_path / "judged").exists() or len((tmp_path / "judged").read_text().split()) < 2:
        time.sleep(0.1)
    children = _children(parent.pid)
    assert children
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    end = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < end:
        time.sleep(0.2)
    left = [pid for pid in children if Path(f"/proc/{pid}").exists()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]

"""Worker processes that can be killed: one bad answer costs its own verdict and nothing else.

Plain child processes over pipes rather than multiprocessing: they start from any thread, notebook
or event loop, never import the caller's main module, and are ended by the kernel when their parent
is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from testtime.grading.base import Grade, Grader, Work

BATCH = 32
START_S = 120.0
RECYCLED = 17  # exit code of a worker that has grown too large and asks for a successor


@dataclass(frozen=True, slots=True)
class Limits:
    """What judgements may use.

    cpu_s: CPU seconds of one judgement; CPU and not wall time, so that a busy machine gives the
    same verdicts. wall_s: seconds after which a worker that has not answered is killed, unless it
    runs or waits for a processor: then its CPU seconds count alone. memory_mb: address space of a
    worker. total_s: seconds for all; what is left then is a timeout.
    """

    cpu_s: float = 4.0
    wall_s: float = 9.0
    memory_mb: int = 1024
    total_s: float | None = None


def judge_all(
    grader: Grader, path: str, works: Sequence[Work], workers: int | None, limits: Limits
) -> list[Grade]:
    """One grade for each work, in order. `path` is the grader's `module:Class`."""
    if grader.runs == "batch":
        return grader.judge_all(works)
    count = max(1, workers or min(8, os.cpu_count() or 1))
    if grader.runs == "thread":
        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(grader.judge, works))
    grades = _Pool(grader, path, "judge", works, min(count, -(-len(works) // BATCH)), limits).run()
    return [grade for grade in grades if isinstance(grade, Grade)]


def prepare_all(
    grader: Grader,
    path: str,
    pairs: Sequence[tuple[str, str]],
    workers: int | None,
    limits: Limits,
) -> list[Grade | Work]:
    """What `prepare` says of each (gold, answer), in order."""
    count = min(max(1, workers or min(8, os.cpu_count() or 1)), -(-len(pairs) // BATCH))
    return _Pool(grader, path, "prepare", pairs, count, limits).run()


class _Worker:
    """One process and what it works on. `current` holds indices into the pool's works, the first
    one in progress.
    """

    def __init__(self, hello: dict[str, Any]) -> None:
        paths = os.pathsep.join(str(Path(entry or ".").absolute()) for entry in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "testtime.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
        )
        self.current: deque[int] = deque()
        self.buffer = b""
        self.ready = False
        self.deadline = time.monotonic() + START_S
        self.send(hello)

    def send(self, message: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; the read end tells
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def receive(self) -> list[Any] | None:
        """The complete messages that have come, or None at the end of the stream."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 20)
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        return [json.loads(line) for line in lines] if data else None

    def computing(self) -> bool:
        """Whether it runs or waits for a processor, as far as this system tells."""
        try:
            state = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return False
        return state == "R"

    def stop(self) -> int:
        self.process.kill()
        code = self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        return code


class _Pool:
    def __init__(
        self,
        grader: Grader,
        path: str,
        step: Literal["prepare", "judge"],
        works: Sequence[tuple[str, ...]],
        count: int,
        limits: Limits,
    ) -> None:
        self.grader, self.works, self.count, self.limits = grader, works, count, limits
        self.step = step
        self.hello = {
            "path": path,
            "step": step,
            "options": grader.model_dump(mode="json"),
            "cpu_s": limits.cpu_s,
            "memory_mb": limits.memory_mb,
        }
        self.waiting = deque(range(len(works)))
        self.grades: dict[int, Grade | Work] = {}
        self.selector = selectors.DefaultSelector()
        self.failed_starts = 0

    def run(self) -> list[Grade | Work]:
        end = time.monotonic() + self.limits.total_s if self.limits.total_s else float("inf")
        try:
            for _ in range(self.count):
                self._start()
            while len(self.grades) < len(self.works) and time.monotonic() < end:
                soonest = min(worker.deadline for worker in self._workers())
                for key, _ in self.selector.select(max(0.0, min(soonest, end) - time.monotonic())):
                    self._read(key.data)
                for worker in self._workers():
                    if worker.deadline >= time.monotonic():
                        continue
                    if worker.computing():  # the CPU limit will end it
                        worker.deadline += 1.0
                    else:
                        self._replace(
                            worker, "timeout", f"no verdict after {self.limits.wall_s:g} s"
                        )
        finally:
            for worker in self._workers():
                worker.stop()
            self.selector.close()
        late = f"the limit of {self.limits.total_s} s for all was reached"
        return [
            self.grades.get(index)
            or self.grader.grade("timeout", self._extracted(work), None, late)
            for index, work in enumerate(self.works)
        ]

    def _extracted(self, work: tuple[str, ...]) -> str | None:
        return work[-1] if self.step == "judge" else None

    def _workers(self) -> list[_Worker]:
        return [key.data for key in self.selector.get_map().values()]

    def _start(self) -> None:
        worker = _Worker(self.hello)
        self.selector.register(worker.process.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]

    def _feed(self, worker: _Worker) -> None:
        """The next works for an idle worker: small batches, so that the last ones are spread over
        all workers.
        """
        size = max(1, min(BATCH, len(self.waiting) // (2 * self.count)))
        for _ in range(min(size, len(self.waiting))):
            worker.current.append(self.waiting.popleft())
        worker.deadline = time.monotonic() + self.limits.wall_s if worker.current else float("inf")
        if worker.current:
            worker.send([self.works[index] for index in worker.current])

    def _read(self, worker: _Worker) -> None:
        messages = worker.receive()
        if messages is None:
            code = worker.process.wait()
            if not worker.ready:
                self.failed_starts += 1
                if self.failed_starts > 3:
                    raise RuntimeError(
                        f"grading workers do not start: they end with exit code {code}"
                    )
                self._replace(worker)
            elif code == RECYCLED:
                self._replace(worker)
            elif code == -signal.SIGXCPU:
                self._replace(
                    worker, "timeout", f"stopped after {self.limits.cpu_s:g} s of CPU time"
                )
            else:
                self._replace(
                    worker, "error", f"the worker died (exit code {code}: out of memory or a crash)"
                )
            return
        for message in messages:
            if message == "ready":
                worker.ready = True
            elif message[0] == "work":
                self.grades[worker.current.popleft()] = tuple(message[1])
                worker.deadline = time.monotonic() + self.limits.wall_s
            else:
                verdict, extracted, key, detail = message
                self.grades[worker.current.popleft()] = self.grader.grade(
                    verdict, extracted, key, detail
                )
                worker.deadline = time.monotonic() + self.limits.wall_s
        if worker.ready and not worker.current:
            self._feed(worker)

    def _replace(self, worker: _Worker, verdict: Any = None, detail: str = "") -> None:
        """End a worker; the work in progress gets the verdict, if any, its neighbours go back to
        the queue.
        """
        self.selector.unregister(worker.process.stdout)  # type: ignore[arg-type]
        worker.stop()
        if verdict and worker.current:
            index = worker.current.popleft()
            extracted = self._extracted(self.works[index])
            self.grades[index] = self.grader.grade(verdict, extracted, None, detail)
        self.waiting.extendleft(reversed(worker.current))
        if len(self.grades) < len(self.works):
            self._start()

"""What a run tells about itself on the command line: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from testtime.errors import printable
from testtime.runs.progress import Progress

FEW = 30  # graded answers below which no share is told


class Lines(Progress):
    """Plain lines, at most one every ten seconds: for logs and pipes."""

    EVERY = 10.0

    def say(self, line: str) -> None:
        print(printable(line), file=sys.stderr, flush=True)

    def start(self, what: str, total: int, done: int) -> None:
        self._what, self._total, self._done, self._first = what, total, done, done
        self._tokens, self._began, self._accuracy = 0, time.monotonic(), ""
        self._said = self._began
        self._tell()

    def sample(self) -> None:
        self._done += 1
        if time.monotonic() - self._said >= self.EVERY:
            self._tell()

    def tokens(self, count: int) -> None:
        self._tokens += count

    def accuracy(self, share: float, graded: int) -> None:
        if graded >= FEW:
            self._accuracy = f", {share:.1%} right of the first {graded:,} to end"

    def finish(self) -> None:
        self._tell()

    def _tell(self) -> None:
        self._said = time.monotonic()
        spent = max(self._said - self._began, 1e-9)
        drawn = self._done - self._first
        # The first to end are few and late: no estimate before a tenth, or a minute.
        told = drawn and (10 * drawn >= self._total - self._first or spent > 60)
        left = f", {spent / drawn * (self._total - self._done):.0f} s left" if told else ""
        rate = f"{self._tokens / spent:,.0f} tokens/s"
        self.say(f"{self._what}: {self._done}/{self._total} samples, {rate}{self._accuracy}{left}")


class Bar(Progress):
    """A bar on a terminal: samples, tokens a second, accuracy so far, time left."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    def say(self, line: str) -> None:
        self._console.print(printable(line), markup=False, highlight=False)

    def start(self, what: str, total: int, done: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        columns: list[Any] = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("samples  {task.fields[rate]} tokens/s  {task.fields[right]} right so far"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        ]
        self._bar = RichProgress(*columns, console=self._console)
        self._task = self._bar.add_task(what, total=total, completed=done, rate="-", right="-")
        self._tokens, self._began = 0, time.monotonic()
        self._bar.start()

    def sample(self) -> None:
        rate = self._tokens / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(self._task, advance=1, rate=f"{rate:,.0f}")

    def tokens(self, count: int) -> None:
        self._tokens += count

    def accuracy(self, share: float, graded: int) -> None:
        if graded >= FEW:
            self._bar.update(self._task, right=f"{share:.1%} of {graded:,}")

    def finish(self) -> None:
        self._bar.stop()


def for_terminal() -> Progress:
    """A bar where standard error is a terminal, plain lines elsewhere."""
    return Bar() if sys.stderr.isatty() else Lines()

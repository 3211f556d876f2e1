"""What a run tells about itself while it works; this says nothing, as Python wants."""

from __future__ import annotations


class Progress:
    """Tells nothing. start(what, total, done) opens a counted step, sample() and tokens(n) advance
    it, accuracy(share, graded) says how much of what was graded so far is right.
    """

    def say(self, line: str) -> None: ...

    def start(self, what: str, total: int, done: int) -> None: ...

    def sample(self) -> None: ...

    def tokens(self, count: int) -> None: ...

    def accuracy(self, share: float, graded: int) -> None: ...

    def finish(self) -> None: ...

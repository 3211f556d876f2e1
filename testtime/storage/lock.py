"""Who may write to a run directory: one process at a time, and the others are told which.

A local folder is held by `flock`, which the system releases whatever happens to the holder. An
object store has no such thing. There the lock is an object that holds the holder's name, a mark of
its own and the time, and is written anew every few seconds while it is held. Who finds one watches
it: when it changes it is held; when it does not for STALE seconds its holder is gone (killed, say),
and it is taken over. No clocks are compared, but whoever resumes a killed run waits that long. A
holder that was not heard of for so long, though it lives, finds another's mark at its next beat and
stops before its next write; what both may have written meanwhile has the same keys, and is read
once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from testtime.errors import UserError
from testtime.storage import files as places
from testtime.storage.files import writing

BEAT = 5.0
STALE = 30.0
Check = Callable[[], None]


@contextlib.contextmanager
def hold(root: Path, say: Callable[[str], None]) -> Iterator[Check]:
    """Hold a run directory; yields a check that raises UserError when the hold was lost.

    Raises UserError naming the holder when another process has it.
    """
    with _flocked(root) if isinstance(root, Path) else _leased(root, say) as check:
        yield check


@contextlib.contextmanager
def _flocked(root: Path) -> Iterator[Check]:
    path = root / "lock"
    with writing(path):
        root.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        with writing(path):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise _held(root, file.read().strip()) from None
            file.truncate(0)
            file.write(_name())
            file.flush()
            for pattern in (".*.tmp", "*/.*.tmp"):  # of a writer that was killed
                for left in root.glob(pattern):
                    left.unlink(missing_ok=True)
        yield lambda: None


@contextlib.contextmanager
def _leased(root: Path, say: Callable[[str], None]) -> Iterator[Check]:
    path, mark = root / "lock", uuid.uuid4().hex
    _wait_for(root, path, say)
    if not places.create(path, _content(mark)):
        raise _held(root, _holder(_found(path)))
    lost: list[str] = []
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            try:
                content = _found(path)
                if mark.encode() not in content:
                    lost.append(_holder(content) or "another process")
                    return
                places.write(path, _content(mark))
            except UserError:  # out of reach for now; whoever writes next will say so
                continue

    def check() -> None:
        if lost:
            raise UserError(
                f"{root}: {lost[0]} took over, because nothing was heard from here for "
                f"{STALE:.0f} s; what was "
                "written is kept, run again to resume"
            )

    beating = threading.Thread(target=beat, name="testtime-lock", daemon=True)
    beating.start()
    try:
        yield check
    finally:
        done.set()
        beating.join()
        with contextlib.suppress(UserError):  # it goes stale by itself
            if mark.encode() in _found(path):
                with writing(path):
                    path.unlink(missing_ok=True)


def _wait_for(root: Path, path: Path, say: Callable[[str], None]) -> None:
    """Return when nobody holds the lock any more. Raises UserError when somebody is seen to."""
    first = _found(path)
    if not first:
        return
    say(
        f"{root}: {_holder(first)} left a lock here; waiting {STALE:.0f} s to see whether it "
        f"still writes"
    )
    began = time.monotonic()
    while time.monotonic() - began < STALE:
        time.sleep(BEAT / 5)
        now = _found(path)
        if not now:
            return
        if now != first:
            raise _held(root, _holder(now))
    with writing(path):
        path.unlink(missing_ok=True)


def _found(path: Path) -> bytes:
    """What a lock holds; nothing when there is none."""
    try:
        return places.read(path)
    except FileNotFoundError:
        return b""


def _content(mark: str) -> bytes:
    return f"{_name()}\n{mark}\n{time.time()}".encode()


def _holder(content: bytes) -> str:
    return content.decode(errors="replace").partition("\n")[0]


def _name() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _held(root: Path, holder: str) -> UserError:
    return UserError(
        f"{root}: {holder or 'another process'} is writing here; wait, or use another name"
    )

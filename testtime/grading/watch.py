"""The memory of a sandbox's processes together: by a cgroup where one can be made, else by looking.

The kernel's limits count each process by itself, and so would let twelve forks hold twelve times
the limit.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
from pathlib import Path

INTERVAL = 0.05  # seconds between two looks
_PAGE = 4096
_ROOT = Path("/sys/fs/cgroup")


def processes(root: int) -> list[int]:
    """A process and all that descend from it."""
    family = [root]
    for process in family:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                family += map(int, task.read_text().split())
    return family


def memory(root: int, limit: int) -> int:
    """Bytes that a process and its descendants hold together: shared pages count once if that
    matters for the limit.
    """
    group = processes(root)
    held = sum(resident(process) for process in group)
    return held if held <= limit else sum(_own(process) for process in group)


def resident(process: int) -> int:
    """Bytes that a process holds now, 0 where nobody knows."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _own(process: int) -> int:
    """Its pages, each divided by the number of processes that share it."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) << 10
    except (OSError, StopIteration):
        return 0


class Group:
    """A cgroup of its own for one run, where this process may make one; a context that ends with
    it gone. `procs` is the file that takes a process in, None where there is no such cgroup.
    """

    def __init__(self, limit: int) -> None:
        self.procs: Path | None = None
        self._folder: Path | None = None
        home = _home()
        if home is None:
            return
        folder = home / f"testtime-{secrets.token_hex(8)}"
        try:
            folder.mkdir()
            self._folder = folder
            name = "memory.max" if (folder / "memory.max").exists() else "memory.limit_in_bytes"
            (folder / name).write_text(str(limit))
            for swap, value in (
                ("memory.swap.max", "0"),
                ("memory.memsw.limit_in_bytes", str(limit)),
            ):
                if (folder / swap).exists():
                    (folder / swap).write_text(value)
            self.procs = folder / "cgroup.procs"
        except OSError:
            self.close()

    @property
    def full(self) -> bool:
        """Whether the limit has ended a process."""
        if self.procs is None:
            return False
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                for line in (self.procs.parent / name).read_text().splitlines():
                    if line.startswith("oom_kill ") and line.split()[1] != "0":
                        return True
        return False

    def close(self) -> None:
        self.procs = None
        if self._folder is None:
            return
        for _ in range(40):  # its processes are killed, but the kernel takes a moment
            try:
                self._folder.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.025)
                continue
            return


@functools.cache
def _home() -> Path | None:
    """Where this process may make a cgroup with a memory limit: the folder of its own cgroup."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inner = path.lstrip("/")
        homes = []
        if "memory" in controllers.split(","):
            homes = [_ROOT / "memory" / inner, _ROOT / "memory"]
        elif not controllers:
            homes = [_ROOT / inner]
        for home in homes:
            trial = home / f"testtime-{secrets.token_hex(8)}"
            with contextlib.suppress(OSError):
                trial.mkdir()
                usable = any(
                    (trial / name).exists() for name in ("memory.max", "memory.limit_in_bytes")
                )
                trial.rmdir()
                if usable:
                    return home
    return None

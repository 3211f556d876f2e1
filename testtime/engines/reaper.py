"""Ends vLLM's child processes when the process that started them was killed.

A killed parent cannot say goodbye, and vLLM's engine and worker processes then wait for it for
ever. This small process watches from the side: it remembers the parent's vLLM descendants, and when
the parent is gone it ends them and itself. Linux only, as is vLLM: elsewhere it finds nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

POLL = 0.5  # seconds


def watch() -> subprocess.Popen[bytes]:
    """Start a watcher over this process; terminate it when the engine has been closed."""
    return subprocess.Popen(
        [sys.executable, "-P", __file__, str(os.getpid())], start_new_session=True
    )


def _stat(pid: int) -> tuple[int, str] | None:
    """A process's parent and start time; None when it is gone."""
    try:
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[19]


def _named_ours(pid: int) -> bool:
    """vLLM names its processes; until it has, a child is one that multiprocessing has just
    started.
    """
    with suppress(OSError):
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes()
        return b"VLLM" in command or b"multiprocessing" in command
    return False


def _descendants(root: int) -> dict[int, str]:
    """Start times of the vLLM processes below `root`, by process id."""
    stats = {int(p.name): s for p in Path("/proc").glob("[0-9]*") if (s := _stat(int(p.name)))}
    descendants: dict[int, str] = {}
    level = [pid for pid, (parent, _) in stats.items() if parent == root and _named_ours(pid)]
    while level:
        descendants |= {pid: stats[pid][1] for pid in level}
        level = [pid for pid, (parent, _) in stats.items() if parent in level]
    return descendants


def _main(parent: int) -> None:
    seen: dict[int, str] = {}
    while os.getppid() == parent:
        seen |= _descendants(parent)
        time.sleep(POLL)
    for pid, started in seen.items():
        stat = _stat(pid)
        if stat and stat[1] == started:  # not another process that was given the number since
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _main(int(sys.argv[1]))

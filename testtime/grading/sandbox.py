"""Run one untrusted Python program where it can reach nothing: bubblewrap's namespaces plus kernel
limits.

No network, no file of the user's, an empty environment, a small temporary folder in memory, and
limits on CPU time, memory (of each process and of all together), processes and output. The whole
process tree dies with the sandbox, and the sandbox with this process. As root, bubblewrap makes the
namespaces with root's rights and the program then runs as a user that owns nothing: the kernel does
not count root's processes, so a fork bomb would not be stopped otherwise. In both modes no new user
namespace can be made.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import secrets
import select
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from testtime.grading import boot, seccomp, watch
from testtime.grading.boot import SOURCE

OUTPUT = 1 << 20  # bytes of output that are read; more ends the program
FOLDER_BYTES = 64 << 20
_UIDS = itertools.count(1_900_000_000 + secrets.randbelow(10_000_000))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program may use: CPU seconds of each process, wall seconds, MiB of memory (each
    process's addresses, and what all hold together), processes at once.
    """

    cpu_s: int = 10
    wall_s: float = 20.0
    memory_mb: int = 1024
    processes: int = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. finished: it ran to its end; status "timeout" is the wall clock,
    "output" too much of it, "memory" too much of all processes together. results: what the calls
    gave, in order, as far as they came: claims of the program's.
    """

    status: Literal["finished", "failed", "cpu", "timeout", "output", "memory"]
    output: str
    results: tuple[Any, ...] = ()


def available() -> str | None:
    """None where the sandbox works here, else what is missing and how to get it."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian and Ubuntu: apt-get install bubblewrap)"
    if _mode() is None:
        return "bubblewrap cannot make namespaces here (in a container: allow user namespaces)"
    return None


@functools.cache
def _mode() -> str | None:
    """The first way to make namespaces that works: with root's rights, or with a user namespace."""
    for mode in ("root", "user") if os.geteuid() == 0 else ("user",):
        if _run(_wrapped(mode, ()), "pass", "", Bounds(), mode == "root").status == "finished":
            return mode
    return None


def run(
    program: str,
    bounds: Bounds,
    stdin: str = "",
    packages: tuple[str, ...] = (),
    sandboxed: bool = True,
    calls: tuple[str, ...] = (),
) -> Outcome:
    """Run a program to its end, then evaluate `calls` in it. `packages`: what it may import beside
    the standard library; ("*",) is all installed.

    Without the sandbox only the limits hold, in a temporary folder with an empty environment.
    """
    if not sandboxed:
        with tempfile.TemporaryDirectory(prefix="testtime-") as folder:
            command = [sys.executable, "-I", "-c", SOURCE]
            return _run(command, program, stdin, bounds, False, folder, calls)
    mode = _mode()
    assert mode is not None, "ask available() first"
    return _run(_wrapped(mode, packages), program, stdin, bounds, mode == "root", None, calls)


def _wrapped(mode: str, packages: tuple[str, ...]) -> list[str]:
    """bubblewrap's command line. The interpreter and the system's libraries are all that can be
    read.
    """
    python = Path(sys.base_prefix)
    command = [
        "bwrap",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
        "--unshare-pid",
        "--unshare-net",
    ]
    command += ["--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox"]
    if mode == "user":
        command += [
            "--unshare-user",
            "--disable-userns",
            "--uid",
            "65534",
            "--gid",
            "65534",
            "--cap-drop",
            "ALL",
        ]
    else:
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    for folder in (
        *reversed(python.parents[:-1]),
        Path("/etc"),
        Path("/packages"),
    ):  # else only root may enter them
        command += ["--perms", "0755", "--dir", str(folder)]
    command += [
        "--ro-bind",
        "/usr",
        "/usr",
        "--ro-bind-try",
        "/etc/ld.so.cache",
        "/etc/ld.so.cache",
    ]
    for name in ("bin", "lib", "lib64", "lib32"):
        root = Path("/", name)
        if root.is_symlink():
            command += ["--symlink", str(root.readlink()), str(root)]
        elif root.is_dir():
            command += ["--ro-bind", str(root), str(root)]
    if not python.is_relative_to("/usr"):
        command += ["--ro-bind", str(python), str(python)]
    site = Path(sysconfig.get_path("platlib"))
    if packages == ("*",):
        command += ["--ro-bind", str(site), "/packages"]
        packages = ()
    for name in packages:
        for folder in (site / name, site / f"{name}.libs"):
            if folder.is_dir():
                command += ["--ro-bind", str(folder), f"/packages/{folder.name}"]
    size = str(FOLDER_BYTES)
    command += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--size",
        size,
        "--perms",
        "1777",
        "--tmpfs",
        "/dev/shm",
    ]
    command += [
        "--size",
        size,
        "--perms",
        "1777",
        "--tmpfs",
        "/tmp",
        "--remount-ro",
        "/dev",
        "--remount-ro",
        "/",
    ]
    command += ["--chdir", "/tmp", "--setenv", "HOME", "/tmp", "--setenv", "PATH", "/usr/bin:/bin"]
    command += ["--setenv", "PYTHONPATH", "/packages", "--setenv", "PYTHONDONTWRITEBYTECODE", "1"]
    command += ["--setenv", "OPENBLAS_NUM_THREADS", "1", "--setenv", "PYTHONHASHSEED", "0"]
    interpreter = python / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [*command, "--", str(interpreter), "-s", "-P", "-c", SOURCE]


def _run(
    command: list[str],
    program: str,
    stdin: str,
    bounds: Bounds,
    drop: bool,
    folder: str | None = None,
    calls: tuple[str, ...] = (),
) -> Outcome:
    token, mark = secrets.token_hex(16), f"result {secrets.token_hex(8)} "
    order: dict[str, Any] = {
        **asdict(bounds), "program": program, "stdin": stdin, "calls": calls, "mark": mark,
        "uid": next(_UIDS) if drop else 0,
    }  # fmt: skip
    if folder is not None:
        order["processes"] = (
            None  # counted over all of a user's processes there, so it would stop the innocent
        )
    sent = json.dumps(order).encode()
    filtered = seccomp.program() if command[0] == "bwrap" else None
    group = watch.Group(bounds.memory_mb << 20)
    try:
        with _pipe_with(filtered) as filter_end:
            if filter_end is not None:
                command = [command[0], "--seccomp", str(filter_end), *command[1:]]
            if group.procs is not None:
                command = ["sh", "-c", 'echo $$ > "$0"; exec "$@"', str(group.procs), *command]
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
                cwd=folder or "/",
                start_new_session=True,
                pass_fds=() if filter_end is None else (filter_end,),
            )
        assert process.stdin is not None and process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{len(sent):<16}".encode() + sent + token.encode())
                process.stdin.flush()
            output, ended = _read(process, bounds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            code = process.wait()
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        if group.full:
            ended = "memory"
    finally:
        group.close()
    results, text = boot.results(output.decode(errors="replace"), mark, len(calls))
    given = tuple(results)
    if text.rstrip("\n").endswith("\n" + token) and ended != "memory":
        return Outcome("finished", text.rstrip("\n").removesuffix("\n" + token), given)
    if ended:
        return Outcome(ended, text[-2000:], given)
    return Outcome("cpu" if code in (-24, 152) else "failed", text[-2000:], given)


@contextlib.contextmanager
def _pipe_with(data: bytes | None) -> Iterator[int | None]:
    """The reading end of a pipe that holds some bytes, for a child to inherit."""
    if data is None:
        yield None
        return
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    try:
        yield reading
    finally:
        os.close(reading)


def _read(
    process: subprocess.Popen[bytes], bounds: Bounds
) -> tuple[bytes, Literal["timeout", "output", "memory"] | None]:
    """What the program writes until it closes its output, and why reading stopped if it did not."""
    assert process.stdout is not None
    source, output = process.stdout.fileno(), bytearray()
    limit, deadline = bounds.memory_mb << 20, time.monotonic() + bounds.wall_s
    looked = time.monotonic()
    while len(output) <= OUTPUT:
        now = time.monotonic()
        if now - looked >= watch.INTERVAL:
            if watch.memory(process.pid, limit) > limit:
                return bytes(output), "memory"
            looked = now
        if now >= deadline:
            return bytes(output), "timeout"
        ready, _, _ = select.select([source], [], [], min(watch.INTERVAL, deadline - now))
        if ready:
            chunk = os.read(source, 1 << 16)
            if not chunk:
                return bytes(output), None
            output += chunk
    return bytes(output), "output"

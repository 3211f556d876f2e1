"""Run one untrusted Python program where it can reach nothing: bubblewrap's namespaces plus kernel
limits.

No network, no file of the user's, an empty environment, a small temporary folder in memory, and
limits on CPU time, memory, processes and output. The whole process tree dies with the sandbox, and
the sandbox with this process. As root, bubblewrap makes the namespaces with root's rights and the
program then runs as a user that owns nothing: the kernel does not count root's processes, so a fork
bomb would not be stopped otherwise.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

OUTPUT = 1 << 18  # bytes of output that are read; more ends the program
FOLDER_BYTES = 64 << 20
_UIDS = itertools.count(1_900_000_000 + secrets.randbelow(10_000_000))

BOOT = r"""
import json, os, resource, sys
order = json.loads(sys.stdin.readline())
if order["uid"]:
    os.setgroups([]); os.setgid(order["uid"]); os.setuid(order["uid"])
limits = {"CPU": order["cpu_s"], "AS": order["memory_mb"] << 20, "NPROC": order["processes"],
          "FSIZE": 16 << 20, "NOFILE": 128, "CORE": 0}
for name, value in limits.items():
    if value is not None:
        kind = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value + 1 if name == "CPU" and hard != value else value))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.stdin = open(0)
if order["stdin"]:
    import io
    sys.stdin = io.TextIOWrapper(io.BytesIO(order["stdin"].encode()), encoding="utf-8")
def run(program, done=("\n" + order["token"] + "\n").encode()):
    try:
        exec(compile(program, "program.py", "exec"), {"__name__": "__main__"})
    except BaseException as error:
        sys.stdout.flush()
        os.write(2, ("\n" + type(error).__name__ + ": " + str(error))[:500].encode())
        os._exit(1)
    sys.stdout.flush()
    os.write(1, done)
    os._exit(0)
run(order.pop("program"))
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program may use: CPU and wall seconds, MiB of memory a process, processes at once."""

    cpu_s: int = 10
    wall_s: float = 20.0
    memory_mb: int = 1024
    processes: int = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. finished: it ran to its end; status "timeout" is the wall clock,
    "output" too much of it.
    """

    status: Literal["finished", "failed", "cpu", "timeout", "output"]
    output: str


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
) -> Outcome:
    """Run a program to its end. `packages`: what it may import beside the standard library; ("*",)
    is all installed.

    Without the sandbox only the limits hold, in a temporary folder with an empty environment.
    """
    if not sandboxed:
        with tempfile.TemporaryDirectory(prefix="testtime-") as folder:
            return _run([sys.executable, "-I", "-c", BOOT], program, stdin, bounds, False, folder)
    mode = _mode()
    assert mode is not None, "ask available() first"
    return _run(_wrapped(mode, packages), program, stdin, bounds, mode == "root")


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
    return [*command, "--", str(interpreter), "-s", "-P", "-c", BOOT]


def _run(
    command: list[str],
    program: str,
    stdin: str,
    bounds: Bounds,
    drop: bool,
    folder: str | None = None,
) -> Outcome:
    token = secrets.token_hex(16)
    order = {
        **asdict(bounds),
        "program": program,
        "stdin": stdin,
        "token": token,
        "uid": next(_UIDS) if drop else 0,
    }
    if folder is not None:
        order["processes"] = (
            None  # counted over all of a user's processes there, so it would stop the innocent
        )
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        cwd=folder or "/",
        start_new_session=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        output, ended = _read(process.stdout.fileno(), time.monotonic() + bounds.wall_s)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        code = process.wait()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    text = output.decode(errors="replace")
    if text.rstrip("\n").endswith("\n" + token):
        return Outcome("finished", text.rstrip("\n").removesuffix("\n" + token))
    if ended:
        return Outcome(ended, text[-2000:])
    return Outcome("cpu" if code in (-24, 152) else "failed", text[-2000:])


def _read(source: int, deadline: float) -> tuple[bytes, Literal["timeout", "output"] | None]:
    """What the program writes until it closes its output, and why reading stopped if it did not."""
    output = b""
    while len(output) <= OUTPUT:
        ready, _, _ = select.select([source], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return output, "timeout"
        chunk = os.read(source, 1 << 16)
        if not chunk:
            return output, None
        output += chunk
    return output, "output"

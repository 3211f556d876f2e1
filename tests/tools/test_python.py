"""Python cells of one chain: state, failures, and the attacks that the code grader is tested by."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from testtime.errors import UserError
from testtime.grading import sandbox
from testtime.tools.base import ToolTimeoutError
from testtime.tools.python import Python

needs_sandbox = pytest.mark.skipif(sandbox.available() is not None, reason="no bubblewrap here")
pytestmark = needs_sandbox
TOOL = Python(cpu_s=2, memory_mb=256)


def said(cell: str, *before: str, seconds: float = 20) -> tuple[str, str]:
    result = TOOL.run(cell, before, seconds)
    return result.text, result.status


def test_a_cell_shows_what_it_prints_and_its_last_value() -> None:
    assert said("x = 2\nprint(x)\nx + 1") == ("2\n3", "ok")
    assert said("x = 2") == ("[no output]", "ok")
    assert said("print('ä∑')") == ("ä∑", "ok")


def test_variables_are_kept_and_earlier_output_is_not_shown_again() -> None:
    assert said("f(x)", "x = 5; print('old')", "def f(a):\n    return a * 2") == ("10", "ok")


def test_a_failure_is_a_text_and_what_was_computed_before_it_stays() -> None:
    text, status = said("y = 3\nprint('so far')\nz = y / 0")
    assert status == "failed" and text == "so far\nline 3: ZeroDivisionError: division by zero"
    assert said("y", "y = 3\nz = y / 0") == ("3", "ok")
    assert said("1 +")[1] == "failed"
    assert said("raise SystemExit(3)")[1] == "failed"
    assert said("7", "import sys; sys.exit()") == ("7", "ok")


def test_limits_end_a_cell_and_say_so() -> None:
    text, status = said("print('before', flush=True)\nwhile True: pass")
    assert status == "ended" and text.startswith("before") and "CPU" in text
    text, status = said("while True: print('x' * 10000)")
    assert status == "ended" and "output" in text and len(text) < 5000
    text, status = said("import os; os._exit(0)")
    assert status == "ended" and "before its end" in text


def test_asleep_beyond_the_wall_clock_is_a_timeout_of_ours() -> None:
    with pytest.raises(ToolTimeoutError, match="no end after 1 s"):
        said("import time; time.sleep(100)", seconds=1)


ATTACKS = {  # what it tries -> the program, what it gets
    "memory": ("x = bytearray(10**10)", "MemoryError"),
    "memory of forks": (
        "import os, time\nfor _ in range(8): os.fork()\nx = bytearray(100 << 20)\ntime.sleep(3)",
        "over 256 MiB of memory",
    ),
    "network": ("import socket; socket.create_connection(('1.1.1.1', 53), 2)", "unreachable"),
    "writing": ("open('/usr/attack', 'w')", "Read-only file system"),
    "fork bomb": ("import os\nwhile True: os.fork()", "temporarily unavailable"),
    "pickle": ("import pickle; pickle.loads(b\"cposix\\nsystem\\n(S'touch HERE/left'\\ntR.\")", ""),
    "parent": ("open('/proc/1/environ').read()", "Permission denied"),
    "processes": (
        "import os; [d for d in os.listdir('/proc') if d.isdigit() and int(d) > 20]",
        "[]",
    ),
    "kill": ("import os; os.kill(1, 9)", "not permitted"),
    "user's files": ("open('HERE/secret').read()", "No such file"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_reach_nothing(attack: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("SECRET")
    program, gets = ATTACKS[attack]
    text, _ = said(program.replace("HERE", str(tmp_path)))
    assert gets in text and "SECRET" not in text
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_no_process_is_left_behind() -> None:
    mark = f"testtime-left-{time.time_ns()}"
    said(
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)', {mark!r}],"
        " start_new_session=True)"
    )
    assert (
        mark
        not in subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout
    )


def test_without_a_sandbox_it_refuses_to_start_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "available", lambda: "bubblewrap is not installed")
    with pytest.raises(
        UserError, match="bubblewrap is not installed; or set its allow_unsandboxed"
    ):
        Python().ready()
    told = Python(allow_unsandboxed=True)
    told.ready()
    assert told.run("1 + 1", (), 20).text == "2"

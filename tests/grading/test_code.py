"""The code grader and its sandbox: right and wrong programs, and attacks that end with a verdict
and leave nothing.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import pickle
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from testtime.errors import UserError
from testtime.grading import contests, grade, sandbox
from testtime.grading.code import program_of

MISSING = sandbox.available()
sandboxed = pytest.mark.skipif(MISSING is not None, reason=f"no sandbox here: {MISSING}")
BOUNDS = sandbox.Bounds(cpu_s=3, wall_s=30, memory_mb=512)
ADD = json.dumps({"tests": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"], "setup": ""})
READ = "```python\nprint(int(input()) + int(input()))\n```"
HUMAN = json.dumps(
    {
        "prompt": 'import math\n\n\ndef half(x):\n    """Half of x."""\n',
        "test": "def check(candidate):\n    assert candidate(4) == 2\n",
        "entry_point": "half",
    }
)


def code(gold: str, answer: str, **more: Any) -> Any:
    return grade("code", [(gold, answer)], {"allow_code": True, **more})[0]


@sandboxed
@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        (ADD, "Sure:\n```python\ndef add(a, b):\n    return a + b\n```\nDone.", "correct"),
        (ADD, "def add(a, b): return a + b", "correct"),
        (ADD, "```python\ndef add(a, b):\n    return a - b\n```", "wrong"),
        (ADD, "```python\ndef add(a, b:\n```", "wrong"),
        (ADD, "```python\nimport sys; sys.exit(0)\n```", "wrong"),
        (ADD, "```python\nimport os; os._exit(0)\n```", "wrong"),
        (ADD, "I cannot write that.", "unparsed"),
        (ADD, "<think>```python\ndef add(a, b): return a + b\n```", "unparsed"),
        (HUMAN, "    return x / 2", "correct"),
        (HUMAN, "    return x / 2\n\nprint(half(3))\ndef other(): pass", "correct"),
        (HUMAN, "return math.floor(x) / 2", "correct"),
        (HUMAN, "```python\ndef half(x):\n    return math.fsum([x]) / 2\n```", "correct"),
        (HUMAN, "```\ndef half(x):\n    return x\n```", "wrong"),
        (HUMAN, "Use it:\n```python\nprint(1)\n```\nand\n```python\ndef half(x): return x / "
                "2\n```", "correct"),
        (json.dumps({"inputs": ["3\n4\n", "1\n1\n"], "outputs": ["7", "2\n"]}), READ, "correct"),
        (json.dumps({"inputs": ["3\n4\n"], "outputs": ["8"]}), READ, "wrong"),
    ],
)  # fmt: skip
def test_programs(gold: str, answer: str, verdict: str) -> None:
    assert code(gold, answer).verdict == verdict


@sandboxed
def test_time_is_told_apart() -> None:
    spin = code(ADD, "```python\nwhile True: pass\n```", cpu_s=1, wall_s=60)
    assert (spin.verdict, spin.detail) == ("wrong", "over 1 s of CPU time")
    sleep = code(ADD, "```python\nimport time; time.sleep(99)\n```", wall_s=2)
    assert sleep.verdict == "timeout"


def test_it_must_be_allowed_and_refuses_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="allow_code: true"):
        grade("code", [(ADD, "x")])
    monkeypatch.setattr(sandbox, "available", lambda: "bubblewrap is not installed")
    with pytest.raises(
        UserError, match="bubblewrap is not installed; or set allow_unsandboxed: true"
    ):
        code(ADD, "x")
    assert code(ADD, "def add(a, b): return a + b", allow_unsandboxed=True).verdict == "correct"


def test_the_program_in_an_answer() -> None:
    tests = json.loads(HUMAN)
    assert program_of("", tests) is None
    assert program_of("    return 1\n\ndef f(): pass", tests) == tests["prompt"] + "    return 1\n"
    assert program_of("x = (", {"tests": []}) is None


ATTACKS = {
    "fork bomb": "import os\nwhile True: os.fork()",
    "thread bomb": "import threading, time\nwhile True: threading.Thread(target=time.sleep, "
                   "args=(99,)).start()",
    "process bomb": "import subprocess\nwhile True: subprocess.Popen(['sleep', '99'])",
    "endless output": "while True: print('x' * 10**6)",
    "endless errors": "import sys\nwhile True: sys.stderr.write('x' * 10**6)",
    "memory at once": "x = bytearray(8 * 10**9)",
    "memory by steps": "x = []\nwhile True: x.append(bytearray(10**7))",
    "huge integer": "print(len(str(9 ** 9 ** 9)))",
    "deep recursion": "def f(): return f()\nimport sys; sys.setrecursionlimit(10**9); f()",
    "fill the "
    "folder": "i = 0\nwhile True:\n    i += 1; open(f'/tmp/{i}', 'wb').write(b'x' * 10**7)",
    "fill shared "
    "memory": "i = 0\nwhile True:\n    i += 1; open(f'/dev/shm/{i}', 'wb').write(b'x' * 10**7)",
    "write in the root": "open('/pwned', 'w')",
    "write in the system": "open('/usr/pwned', 'w')",
    "write in home": "import os; open(os.path.expanduser('~root/pwned'), 'w')",
    "overwrite python": "import os, json; open(json.__file__, 'w')",
    "read passwords": "open('/etc/passwd').read()",
    "read a key": "open('HOME/.ssh/id_rsa').read()",
    "read this file": "open('HERE').read()",
    "list home": "import os; assert os.listdir('HOME') == 'x'",
    "read the environment": "import os; assert os.environ['TESTTIME_SECRET']",
    "parent's environment": "print(open('/proc/1/environ').read().index('TESTTIME_SECRET'))",
    "internet": "import socket; socket.create_connection(('1.1.1.1', 53), 5)",
    "local server": "import socket; socket.create_connection(('127.0.0.1', PORT), 5)",
    "name lookup": "import socket; socket.getaddrinfo('example.org', 80)",
    "abstract "
    "socket": "import socket; s = socket.socket(socket.AF_UNIX); s.connect('\\0testtime-PORT')",
    "kill the parent": "import os; os.kill(PARENT, 9)",
    "kill everything": "import os; os.kill(-1, 9)",
    "signal the group": "import os; os.killpg(0, 9)",
    "symlink out": "import os; os.symlink('HERE', '/tmp/l'); open('/tmp/l').read()",
    "hard link out": "import os; os.link('/usr/bin/env', '/tmp/l')",
    "mount": "import ctypes; assert ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0",
    "become root": "import os; os.setuid(0); open('/etc/shadow').read()",
    "outlive the "
    "run": "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(60)\nos._exit(1)",
    "trace the parent": "import ctypes; assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0",
    "device": "open('/dev/sda', 'rb').read(1)",
    "exit early": "import os; os._exit(0)",
    "ignore signals": "import signal\nfor s in (1, 2, 15, 24): signal.signal(s, "
                      "signal.SIG_IGN)\nwhile True: pass",
}  # fmt: skip


@sandboxed
@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_end_and_leave_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setenv("TESTTIME_SECRET", "secret")
    server, hidden = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
    port = server.getsockname()[1]
    hidden.bind(f"\0testtime-{port}")
    hidden.listen()
    marks = {
        "PORT": str(port),
        "PARENT": str(os.getpid()),
        "HERE": __file__,
        "HOME": str(Path.home()),
    }
    program = ATTACKS[name]
    for mark, value in marks.items():
        program = program.replace(mark, value)
    processes = _processes()
    outcome = sandbox.run(program, BOUNDS)
    server.close()
    hidden.close()
    assert outcome.status != "finished", outcome
    assert "secret" not in outcome.output
    end = time.monotonic() + 10
    while (left := _processes() - processes) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left
    assert not [
        path
        for path in map(Path, ("/pwned", "/usr/pwned", "/root/pwned", "/tmp/l", "/tmp/1"))
        if path.exists()
    ]


def _processes() -> set[str]:
    """Sandboxes and what runs in them: their command lines hold the boot program."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (
                b"bwrap" in (line := (entry / "cmdline").read_bytes()) or b"sleep" in line
            ):
                found.add(entry.name)
        except OSError:
            continue
    return found


@sandboxed
def test_one_attack_in_the_fast_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTTIME_SECRET", "secret")
    outcome = sandbox.run("import os; print(dict(os.environ)); open('/etc/passwd')", BOUNDS)
    assert (
        outcome.status == "failed"
        and "secret" not in outcome.output
        and "FileNotFoundError" in outcome.output
    )


@sandboxed
@pytest.mark.slow
def test_humaneval_and_mbpp_accept_their_own_solutions(shared_data: Path) -> None:
    lines = (
        gzip.decompress((shared_data / "benchmarks" / "humaneval.jsonl.gz").read_bytes())
        .decode()
        .splitlines()
    )
    human = [json.loads(line) for line in lines]
    pairs = [
        (
            json.dumps({key: row[key] for key in ("prompt", "test", "entry_point")}),
            row["canonical_solution"],
        )
        for row in human
    ]
    mbpp = [
        json.loads(line)
        for line in (shared_data / "benchmarks" / "mbpp.jsonl").read_text().splitlines()
    ][10:60]
    pairs += [
        (json.dumps({"tests": row["test_list"], "setup": row["test_setup_code"]}), row["code"])
        for row in mbpp
    ]
    found = grade("code", pairs, {"allow_code": True}, workers=2)
    assert [number for number, g in enumerate(found) if g.verdict != "correct"] == []


def contest(kind: str, cases: list[tuple[str, str]], name: str = "") -> str:
    """A gold as LiveCodeBench has it: half of the tests open, half pickled and packed."""
    tests = [{"input": given, "output": wanted, "testtype": kind} for given, wanted in cases]
    packed = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests[1:])))).decode()
    metadata = json.dumps({"func_name": name})
    return json.dumps({"public": json.dumps(tests[:1]), "private": packed, "metadata": metadata})


@sandboxed
def test_contest_problems_by_standard_input_and_by_function() -> None:
    add = contest("stdin", [("1\n2\n", "3"), ("5\n6\n", "11\n")])
    assert code(add, "```python\nprint(int(input()) + int(input()))\n```").verdict == "correct"
    assert code(add, "```python\nprint(3)\n```").verdict == "wrong"
    swap = contest("functional", [("[1, 2]\n3", "[3, 1, 2]"), ("[]\n0", "[0]")], "push")
    right = (
        "```python\nclass Solution:\n    def push(self, xs: List[int], x: int):\n        "
        "return [x] + xs\n```"
    )
    assert code(swap, right).verdict == "correct"
    assert code(swap, right.replace("[x] + xs", "xs + [x]")).verdict == "wrong"


def test_a_test_file_cannot_execute_anything() -> None:
    packed = base64.b64encode(zlib.compress(pickle.dumps(os.system))).decode()
    with pytest.raises(pickle.UnpicklingError, match="system in a test file"):
        contests.runs({"public": "[]", "private": packed, "metadata": "{}"}, "")


@sandboxed
def test_reasoning_gym_by_its_own_scorer_and_without() -> None:
    pytest.importorskip("reasoning_gym")
    entry = {"metadata": {"numbers": [2, 3, 5], "target": 30, "expression": "2*3*5"}}
    gold = json.dumps({"dataset": "countdown", "question": "q", "answer": "2*3*5", **entry})
    answers = [f"<answer>{text}</answer>" for text in ("2*3*5", "5*(2*3)", "2+3")]
    plain = [g.verdict for g in grade("gym", [(gold, answer) for answer in [*answers, ""]])]
    assert plain == ["correct", "wrong", "wrong", "unparsed"]
    scored = [
        g.verdict
        for g in grade(
            "gym", [(gold, answer) for answer in answers], {"own_scorer": True}, workers=2
        )
    ]
    assert scored == ["correct", "correct", "wrong"]

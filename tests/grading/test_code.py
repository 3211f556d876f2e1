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
        contests.cases({"public": "[]", "private": packed, "metadata": "{}"})


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


FAKES = {
    "exit does nothing": "import os\nos._exit = lambda code: None\nraise SystemExit",
    "token of the main module": "import __main__, os\nos.write(1, ('\\n' + __main__.order['token'] + '\\n').encode())",
    "token of the frame": "import sys, os\nf = sys._getframe()\nwhile f:\n    for v in list(f.f_locals.values()) + list(f.f_globals.values()):\n"
                          "        if isinstance(v, bytes): os.write(1, v)\n        if isinstance(v, str) and len(v) == 32: print(v)\n    f = f.f_back\nos._exit(0)",
    "token of the defaults": "import sys, os\nf = sys._getframe(1)\nrun = f.f_globals.get('run')\nos.write(1, run.__defaults__[0])\nos._exit(0)",
    "equal to everything": "class X:\n    def __eq__(self, other): return True\ndef add(a, b): return X()",
    "an int equal to everything": "class X(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef add(a, b): return X(9)",
    "patched abs": "import builtins\nbuiltins.abs = lambda x: 0\ndef add(a, b): return 10**6",
    "patched loads": "import json\njson.loads = lambda text: None\ndef add(a, b): return None",
    "patched dumps": "import json\njson.dumps = lambda *a, **k: '[0, {\"i\": \"0x3\"}]'\ndef add(a, b): return 9",
    "patched encode": "import sys\nsys._getframe(1).f_globals['encode'] = lambda v: 3\ndef add(a, b): return 9",
    "reads its caller": "import sys\ndef add(a, b):\n    f = sys._getframe()\n    while f:\n        for v in f.f_locals.values():\n"
                        "            if isinstance(v, str) and '==' in v and 'assert add' in v: return eval(v.split('==')[1])\n        f = f.f_back\n    return 99",
    "asserts switched off": "import builtins\nbuiltins.AssertionError = KeyError\ndef add(a, b): return 9",
    "no tests at all": "import sys\nsys.exit(0)",
    "forged results": "import sys, os\nf = sys._getframe(1)\nos.write(1, ('\\n' + str(f.f_locals.get('mark')) + '[0, {\"i\": \"0x9\"}]\\n').encode())\ndef add(a, b): return 9",
    "hanging equality": "class X:\n    def __eq__(self, other):\n        while True: pass\ndef add(a, b): return X()",
    "a list without end": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "a deep list": "def add(a, b):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x",
}  # fmt: skip


@sandboxed
@pytest.mark.parametrize("name", FAKES)
def test_success_is_not_faked(name: str) -> None:
    found = code(ADD, f"```python\n{FAKES[name]}\n```", cpu_s=3)
    assert found.verdict == "wrong", found


@sandboxed
@pytest.mark.parametrize("name", list(FAKES)[:4])
def test_the_short_holes_are_closed_where_tests_run_beside_the_program(name: str) -> None:
    looped = json.dumps(
        {"tests": ["for i in range(3):\n    assert add(i, 1) == i + 1"], "setup": ""}
    )
    assert code(looped, f"```python\n{FAKES[name]}\n```").verdict == "wrong"
    right = code(looped, "def add(a, b): return a + b")
    assert (right.verdict, right.detail) == ("correct", "its tests ran beside the program")


@sandboxed
@pytest.mark.parametrize(
    ("test", "program", "verdict"),
    [
        ("assert abs(f(1) - 0.5) < 1e-6", "def f(x): return x / 2", "correct"),
        ("assert f(1) == {1: (2, 3.5)}", "import collections\ndef f(x): return collections.OrderedDict({1: (2, 3.5)})", "correct"),
        ("assert tuple(f(3)) == (0, 1, 2)", "def f(x): yield from range(x)", "correct"),
        ("assert f(3) == [0, 1, 2]", "def f(x): yield from range(x)", "wrong"),
        ("assert f(3) is True", "def f(x): return 1", "wrong"),
        ("assert f(3) == True", "import numpy\ndef f(x): return numpy.bool_(True)", "correct"),
        ("assert f(3) == float('inf')", "def f(x): return float('inf')", "correct"),
        ("assert not f(3)", "def f(x): return []", "correct"),
        ("assert f(3) == {1, 2}", "def f(x): return frozenset([2, 1])", "correct"),
        ("assert sum(2, 3) == 5", "def sum(a, b): return a + b", "correct"),
        ("assert f('a\\u00e9\\n') == 'A\\u00c9\\n'", "def f(x): return x.upper()", "correct"),
        ("assert f(9) == 10**40", "def f(x): return 10**40", "correct"),
        ("assert f(2) == 3\nassert f(1) == 3", "n = 0\ndef f(x):\n    global n\n    n += x\n    return 3 if n in (2, 3) else n", "correct"),
        ("assert f(Node(1)) == 1", "class Node:\n    def __init__(self, v): self.v = v\ndef f(n): return n.v", "correct"),
        ("assert f(1) == 1\nassert f(2) == 2", "import time\ndef f(x):\n    if x == 2: time.sleep(99)\n    return 7", "wrong"),
    ],
)  # fmt: skip
def test_what_is_compared_outside_means_what_it_meant_inside(
    test: str, program: str, verdict: str
) -> None:
    gold = json.dumps({"tests": test, "setup": ""})
    assert code(gold, f"```python\n{program}\n```", wall_s=3, cpu_s=2).verdict == verdict


def test_most_of_the_reference_tests_are_taken_apart(shared_data: Path) -> None:
    from testtime.grading import split

    folder = shared_data / "benchmarks"
    human = gzip.decompress((folder / "humaneval.jsonl.gz").read_bytes()).decode().splitlines()
    rows = [json.loads(line) for line in human]
    assert sum(split.of_check(row["test"], row["entry_point"]) is not None for row in rows) >= 152
    mbpp = [json.loads(line) for line in (folder / "mbpp.jsonl").read_text().splitlines()]
    whole = [split.of_asserts("\n".join(row["test_list"]), "") is None for row in mbpp]
    assert sum(whole) <= 2


FORKS = """
import os, time
for _ in range(12):
    if os.fork() == 0:
        x = bytearray(70 << 20)
        for i in range(0, len(x), 4096): x[i] = 1
        time.sleep(20); os._exit(0)
time.sleep(20)
"""


@sandboxed
@pytest.mark.parametrize("by", ["cgroup", "watcher"])
def test_all_processes_together_have_a_limit(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from testtime.grading import watch

    if by == "watcher":
        monkeypatch.setattr(watch, "_home", lambda: None)
    elif watch._home() is None:
        pytest.skip("no cgroup can be made here")
    outcome = sandbox.run(FORKS, sandbox.Bounds(cpu_s=5, wall_s=30, memory_mb=256))
    assert outcome.status == "memory", outcome
    fine = sandbox.run(
        FORKS.replace("70 << 20", "1 << 20").replace("(20)", "(.2)"),
        sandbox.Bounds(cpu_s=5, memory_mb=256),
    )
    assert fine.status == "finished", fine


@sandboxed
@pytest.mark.parametrize(
    "call",
    [
        "libc.unshare(0x10000000)", "libc.unshare(0x10020000)", "libc.syscall(56, 0x10000011, 0, 0, 0, 0)",
        "libc.syscall(435, 0, 0)", "libc.setns(os.open('/proc/self/ns/user', 0), 0)",
    ],
)  # fmt: skip
def test_no_user_namespace_can_be_made_inside(call: str) -> None:
    program = f"import ctypes, os\nlibc = ctypes.CDLL(None)\nassert {call} == -1"
    assert sandbox.run(program, BOUNDS).status == "finished"

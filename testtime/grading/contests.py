"""LiveCodeBench's tests as runs of the sandbox.

Its hidden tests are JSON, pickled, compressed and in base64; a pickle may execute anything when it
is read, so this one is read by an unpickler that knows no class at all, which is enough for a text.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import zlib
from typing import Any, NoReturn

HEADER = """from typing import *
import bisect, collections, functools, heapq, itertools, math, operator, random, re, string, sys
from bisect import *; from collections import *; from functools import *; from heapq import *
from itertools import *; from math import *
"""
_CALL = """
import json as _json
for _given, _wanted in _json.loads({tests!r}):
    _lines = [_line for _line in _given.split("\\n") if _line.strip()]
    _found = Solution().{name}(*map(_json.loads, _lines))
    _found = list(_found) if isinstance(_found, tuple) else _found
    assert _found == _json.loads(_wanted), f"{name}: {{str(_found)[:80]}}, not {{_wanted[:80]}}"
"""


class _NoClasses(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} in a test file")


def runs(tests: dict[str, Any], program: str) -> list[tuple[str, str, str | None]]:
    """(source, standard input, output that must come) of each run; all calls of a function are one
    run.
    """
    cases = _cases(tests["public"]) + _cases(tests["private"])
    calls = [(case["input"], case["output"]) for case in cases if case["testtype"] == "functional"]
    found: list[tuple[str, str, str | None]] = [
        (HEADER + program, case["input"], case["output"])
        for case in cases
        if case["testtype"] != "functional"
    ]
    if calls:
        name = json.loads(tests["metadata"])["func_name"]
        found.append(
            (HEADER + program + _CALL.format(tests=json.dumps(calls), name=name), "", None)
        )
    return found


def _cases(text: str) -> list[dict[str, str]]:
    try:
        cases = json.loads(text)
    except json.JSONDecodeError:
        packed = zlib.decompress(base64.b64decode(text))
        cases = json.loads(_NoClasses(io.BytesIO(packed)).load())
    return list(cases)

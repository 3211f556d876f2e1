"""LiveCodeBench's tests: what is given, and what must come.

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


class _NoClasses(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} in a test file")


def cases(tests: dict[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, Any]]]:
    """([(standard input, output that must come)], [(call, value that it must give)]).

    Raises ValueError where the function to call has no name that Python could have.
    """
    every = _cases(tests["public"]) + _cases(tests["private"])
    printed = [
        (case["input"], case["output"]) for case in every if case["testtype"] != "functional"
    ]
    functional = [case for case in every if case["testtype"] == "functional"]
    if not functional:
        return printed, []
    name = json.loads(tests["metadata"])["func_name"]
    if not str(name).isidentifier():
        raise ValueError(f"{name!r} is no function's name")
    return printed, [
        (f"Solution().{name}({_arguments(case['input'])})", json.loads(case["output"]))
        for case in functional
    ]


def _arguments(given: str) -> str:
    """One JSON value a line, as Python's arguments."""
    return ", ".join(repr(json.loads(line)) for line in given.split("\n") if line.strip())


def _cases(text: str) -> list[dict[str, str]]:
    try:
        cases = json.loads(text)
    except json.JSONDecodeError:
        packed = zlib.decompress(base64.b64decode(text))
        cases = json.loads(_NoClasses(io.BytesIO(packed)).load())
    return list(cases)

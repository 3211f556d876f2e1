"""What runs inside the sandbox: it sets the limits, runs the program, and says what its calls gave.

`SOURCE` is given to the interpreter as text, because nothing of this package can be read in there.
It holds no expected value and no secret while the program runs: results are claims, which are
judged outside (`split`). The token that says "it came to its end" waits in a pipe until then.
"""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

DEEPEST = 60  # levels of nesting in a result
SOURCE = (
    r"""
import json, os, resource, sys

def encode(value, depth=0):
    if value is None or value is True or value is False or type(value) is str:
        return value
    if depth > DEEPEST:
        return {"o": "too deep"}
    inner = lambda values: [encode(one, depth + 1) for one in values]
    kind = type(value)
    if isinstance(value, int):
        return {"i": hex(int(value))}
    if isinstance(value, float):
        return {"f": float(value).hex()}
    if isinstance(value, complex):
        return {"c": [value.real.hex(), value.imag.hex()]}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return {"b": bytes(value).hex()}
    for tag, base in (("l", list), ("t", tuple), ("s", set), ("z", frozenset)):
        if isinstance(value, base):
            return {tag: inner(value)}
    if isinstance(value, dict):
        return {"d": [inner(pair) for pair in value.items()]}
    if kind.__name__ in ("dict_keys", "dict_items"):
        return {"s": inner(value)}
    if kind.__module__ in ("fractions", "decimal") and kind.__name__ in ("Fraction", "Decimal"):
        return {"q": [hex(part) for part in value.as_integer_ratio()]}
    if kind.__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return encode(value.item(), depth + 1)
    if kind is range:
        return {"r": [value.start, value.stop, value.step]}
    if hasattr(value, "__next__") or kind.__name__ == "dict_values":
        from itertools import islice
        return {"n": inner(islice(value, 100_000))}
    return {"o": kind.__name__}

def boot(write=os.write, leave=os._exit, read=os.read, dumps=json.dumps):
    length = int(read(0, 16))
    data = b""
    while len(data) < length:
        data += read(0, length - len(data))
    order = json.loads(data)
    if order["uid"]:
        os.setgroups([]); os.setgid(order["uid"]); os.setuid(order["uid"])
    limits = {"CPU": order["cpu_s"], "AS": order["memory_mb"] << 20, "NPROC": order["processes"],
              "FSIZE": 16 << 20, "NOFILE": 128, "CORE": 0}
    for name, value in limits.items():
        if value is not None:
            kind = getattr(resource, "RLIMIT_" + name)
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            late = name == "CPU" and hard != value
            resource.setrlimit(kind, (value, value + 1 if late else value))
    ending = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(0)
    if order["stdin"]:
        import io
        sys.stdin = io.TextIOWrapper(io.BytesIO(order["stdin"].encode()), encoding="utf-8")
    program, calls, mark = order["program"], order["calls"], order["mark"]
    del order, data, limits
    out, own = sys.stdout, encode
    def tell(line):
        try:
            out.flush()
        except Exception:
            pass
        line = line.encode()
        while line:
            line = line[write(1, line):]
    def failed(error):
        return (type(error).__name__ + ": " + str(error))[:500]
    names = {"__name__": "__main__"}
    try:
        exec(compile(program, "program.py", "exec"), names)
    except BaseException as error:
        tell("\n" + failed(error))
        leave(1)
        while True: pass
    for number, call in enumerate(calls):
        try:
            result = own(eval(compile(call, "call.py", "eval"), names))
        except BaseException as error:
            result = {"!": failed(error)}
        tell("\n" + mark + dumps([number, result]) + "\n")
    tell("\n" + read(ending, 32).decode() + "\n")
    leave(0)

boot()
"""
).replace("DEEPEST", str(DEEPEST))


class Other:
    """A result that is no plain value; it equals nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


class Raised(Other):
    """The call raised."""


def decode(data: Any) -> Any:
    """The plain value that a line of the sandbox claims. Raises ValueError, TypeError, KeyError,
    OverflowError or RecursionError for a line that the sandbox's own code would not write.
    """
    if data is None or isinstance(data, (bool, str)):
        return data
    ((tag, inner),) = data.items()
    if tag == "i":
        return int(inner, 16)
    if tag == "f":
        return float.fromhex(inner)
    if tag == "c":
        return complex(*map(float.fromhex, inner))
    if tag == "b":
        return bytes.fromhex(inner)
    if tag == "q":
        return Fraction(*(int(part, 16) for part in inner))
    if tag == "r":
        return range(*inner)
    if tag == "d":
        return {decode(key): decode(value) for key, value in inner}
    if tag in "ltszn":
        kinds: dict[str, Any] = {"l": list, "t": tuple, "s": set, "z": frozenset, "n": iter}
        return kinds[tag]([decode(one) for one in inner])
    return (Raised if tag == "!" else Other)(str(inner))


def results(output: str, mark: str, count: int) -> tuple[list[Any], str]:
    """What the calls gave, in order, as far as they came, and the rest of the output."""
    values: dict[int, Any] = {}
    rest = []
    for line in output.split("\n"):
        if not line.startswith(mark):
            rest.append(line)
            continue
        try:
            number, data = json.loads(line[len(mark) :])
            values.setdefault(int(number), decode(data))
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError, RecursionError):
            rest.append("a result that cannot be read")
    known = next((n for n in range(count) if n not in values), count)
    return [values[n] for n in range(known)], "\n".join(rest)

"""Plain data and bytes with something wrong in them, by seed."""

from __future__ import annotations

import copy
import random
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from testtime.errors import UserError

ODD: list[Any] = [
    None, 7, "x", [], {}, [[]], -1, 1e308, True, {"value": None}, "\ud800", "9" * 400, "\x00", "\x1b[2J", 10**30, float("nan"), "$\\frac$", "=1", "",
]  # fmt: skip


def mutants(tree: Any, seed: int, count: int) -> Iterator[Any]:
    """Copies of a tree of plain data, each with one node replaced or removed."""
    chance = random.Random(seed)
    for _ in range(count):
        whole = copy.deepcopy({"root": tree})
        node: Any = whole
        while True:
            key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
            inner = node[key]
            if not (isinstance(inner, (dict, list)) and inner) or chance.random() < 0.2:
                break
            node = inner
        if chance.random() < 0.3 and node is not whole:
            del node[key]
        else:
            node[key] = chance.choice(ODD)
        yield whole.get("root")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Bytes with a few changed, cut off, doubled or put in."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(4)
        if kind == 0 and at < len(changed):
            changed[at] = chance.randrange(256)
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 50)]
        elif kind == 2:
            changed[at:at] = changed[at : at + chance.randrange(1, 50)]
        else:
            changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
    return bytes(changed)


def peak(who: int = resource.RUSAGE_SELF) -> int:
    """MiB that this process, or any child of it that has ended, has held at most."""
    return resource.getrusage(who).ru_maxrss >> 10


@contextmanager
def bounded() -> Iterator[None]:
    """Fails where what is done inside takes 10 s of the processor, or a GiB more than before."""
    began, held = time.process_time(), peak()
    try:
        yield
    finally:
        assert time.process_time() - began < 10 and peak() - held < 1024


def survives(work: Callable[[], object]) -> bool:
    """Whether it worked, within bounds; a refusal in one line is as good, anything else is raised."""
    try:
        with bounded():
            work()
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) <= 4000, error
        str(error).encode()
        return False
    return True

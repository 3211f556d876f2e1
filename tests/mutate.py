"""Plain data and bytes with something wrong in them, by seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
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


def survives(work: Callable[[], object]) -> bool:
    """Whether it worked; a refusal in one line is as good, anything else is raised."""
    try:
        work()
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) <= 4000, error
        str(error).encode()
        return False
    return True

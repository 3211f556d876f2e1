"""The world that the ladder and the agent live in, as a look-up tool.

`facts.txt` holds a thousand functions of the letters a to z, the most frequent first: a line is a
name and the 26 letters that a, b, ... become. They were drawn at random once; nobody can know one
without having been told.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path


@cache
def functions() -> dict[str, str]:
    """Name, as `123`, to the 26 letters that a, b, ..., z become; in order of frequency."""
    lines = Path(__file__).with_name("facts.txt").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)


def lookup(call: str) -> str:
    """The letter that a function makes of a letter: `lookup("a 123")`; `?` where the call is no
    letter and function.
    """
    match = re.fullmatch(r"\s*([a-z])\s*(\d{3})\s*", call)
    return functions()[match[2]][ord(match[1]) - ord("a")] if match else "?"

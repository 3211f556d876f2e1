"""Settings by what they are nested in: `turn=4` is four turns, `effort=low,round=2` two rounds of
what was told `effort=low`.
"""

from __future__ import annotations

import re

_AMOUNT = re.compile(r"([a-z]+)=(\d+)")


def read(setting: str) -> tuple[str, dict[str, int]]:
    """What was told, and the amounts by name."""
    told, amounts = list[str](), dict[str, int]()
    for part in filter(None, setting.split(",")):
        if match := _AMOUNT.fullmatch(part):
            amounts[match[1]] = int(match[2])
        else:
            told.append(part)
    return ",".join(told), amounts


def without(setting: str, name: str) -> tuple[str, int | None]:
    """The setting without one of its amounts, and that amount; None where it has none."""
    told, amounts = read(setting)
    amount = amounts.pop(name, None)
    return ",".join([*([told] if told else []), *(f"{k}={v}" for k, v in amounts.items())]), amount

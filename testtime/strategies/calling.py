"""A call to a tool as both ways of calling run it: in the text that a model thinks, and in the
messages of a chat server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from testtime.strategies.base import Call, Ledger
from testtime.strategies.node import Node
from testtime.tools import base
from testtime.tools.base import Result, Tool
from testtime.tools.dialects import Asked

MORE = " [cut]"  # behind the part of a result that is fed


@dataclass(frozen=True)
class Made:
    """The calls that an attempt has made, with their results."""

    calls: tuple[tuple[Asked, Result], ...] = ()
    spent: tuple[Call, ...] = ()

    def before(self, name: str) -> list[str]:
        """The calls to a tool that have left their state."""
        return [one.call for one, result in self.calls if one.name == name and _kept(one, result)]


async def called(
    ledger: Ledger,
    at: Node,
    asked: Asked,
    made: Made,
    tools: Sequence[Tool],
    seconds: float,
    number: int = 0,
) -> Made:
    """The calls made with this one, whose result is the last. number: of those at this place that
    were run before it.
    """
    tool = next((tool for tool in tools if tool.name == asked.name), None)

    async def run() -> Result:
        if tool is None or asked.wrong:
            return Result(asked.wrong, "failed")
        return await base.run(tool, asked.call, made.before(tool.name), seconds)

    result = await ledger.tool(at, asked.name, asked.call, run, number)
    cost = Call(0, 0, 0, "tool", result.seconds, failed=result.status != "ok")
    return Made((*made.calls, (asked, result)), (*made.spent, cost))


def _kept(asked: Asked, result: Result) -> bool:
    return not asked.wrong and result.status != "ended"

"""What a tool is: a text goes in, a text that the model reads comes out, within limits.

A tool keeps nothing between calls. What state there is (the variables of a Python session) it
builds again from the earlier calls of the same chain, so a run that was killed needs no process
that outlived it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from testtime.engines.base import EngineError

LONGEST = 20_000  # characters of a result that are kept; the rest is cut, and the text says so


@dataclass(frozen=True, slots=True)
class Result:
    """text: what the model reads; status: "ok", "failed" (the tool's own failure, which the text
    explains) or "ended" (one of its limits ended it, and what it had computed is gone); seconds:
    what it took.
    """

    text: str
    status: Literal["ok", "failed", "ended"] = "ok"
    seconds: float = 0.0


class ToolTimeoutError(EngineError):
    """No result in time: unknown, as a request that never came back, and not the model's error."""


class Tool(BaseModel):
    """A tool with its options. name: as the model calls it; about: one line that the model is told;
    argument: how a chat server's model names what it gives.

    `run` is called in a thread of its own, with the earlier calls of the same chain to this tool
    and the seconds it has. What goes wrong in it is a result; it raises ToolTimeoutError alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    argument: ClassVar[str] = "input"
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")
    about: str = ""

    @abstractmethod
    def run(self, call: str, before: Sequence[str], seconds: float) -> Result:
        """The result of one call."""

    def ready(self) -> str:
        """Makes what it needs. Returns what its results depend on besides its options (a corpus);
        raises UserError where something is missing.
        """
        return ""


async def run(tool: Tool, call: str, before: Sequence[str], seconds: float) -> Result:
    """A call's result, cut to LONGEST characters. Raises ToolTimeoutError after `seconds`; a tool
    that hangs is left behind in its thread, which does not keep the process alive.
    """

    def timed() -> Result:  # there, where nothing waits for the event loop
        began = time.perf_counter()
        result = tool.run(call, before, seconds)
        return Result(_cut(result.text), result.status, time.perf_counter() - began)

    try:
        return await asyncio.wait_for(_in_thread(timed), seconds)
    except TimeoutError:
        raise ToolTimeoutError(f"tool {tool.name}: no result after {seconds:g} s") from None


def _in_thread(work: Callable[[], Result]) -> asyncio.Future[Result]:
    """Not asyncio's own threads: it waits for those when it closes, for one that hangs forever."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        elif result is not None:
            future.set_result(result)

    def body() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        with suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=body, name="testtime-tool", daemon=True).start()
    return future


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n[cut: {LONGEST:,} of {len(text):,} characters]"

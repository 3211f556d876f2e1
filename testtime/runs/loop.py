"""An event loop for whoever has none, and beside one for a notebook."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, in a thread of its own where a loop is running already (a
    notebook).

    The first exception of a task group is raised as itself.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            result.append(asyncio.run(work))
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            failure.append(error)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        body()
    else:
        thread = threading.Thread(target=body, name="testtime-run")
        thread.start()
        thread.join()
    if failure:
        raise failure[0]
    return result[0]

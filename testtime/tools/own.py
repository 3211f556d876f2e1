"""A user's own tool: a function of one text that returns one, named as `module:function`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydantic import Field

from testtime.errors import UserError
from testtime.tools.base import Result, Tool


class Own(Tool):
    """function: runs in this process, in a thread; what it raises is a text that the model reads.
    One that hangs is left behind.
    """

    function: str = Field(pattern=r"^[\w.]+:\w+$")

    def ready(self) -> str:
        _imported(self.function)
        return ""

    def run(self, call: str, before: Sequence[str], seconds: float) -> Result:
        function = _imported(self.function)
        try:
            return Result(str(function(call)))
        except Exception as error:
            return Result(f"{type(error).__name__}: {error}", "failed")


@lru_cache
def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"thinking.tools: {path} cannot be imported ({error}); write module:function"
        ) from None
    if not callable(function):
        raise UserError(f"thinking.tools: {path} is no function")
    return function

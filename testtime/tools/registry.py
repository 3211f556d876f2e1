"""The tools by name: one line each; one of a user's own is `{name: ..., function: module:function}`
and needs no line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from testtime.errors import suggest
from testtime.tools.base import Tool
from testtime.tools.calculator import Calculator
from testtime.tools.own import Own
from testtime.tools.python import Python
from testtime.tools.search import Search

TOOLS: dict[str, type[Tool]] = {"calculator": Calculator, "python": Python, "search": Search}


def make(given: Any) -> Tool:
    """A tool from its name, or from a mapping of name and options. Raises ValueError for the first
    thing wrong in it.
    """
    if isinstance(given, Tool):
        return given
    options = given if isinstance(given, Mapping) else {"name": given}
    name = str(options.get("name"))
    kind = Own if "function" in options else TOOLS.get(name)
    if kind is None:
        raise ValueError(
            f"there is no tool {name!r} (one of your own: give its function, "
            f"module:function){suggest(name, TOOLS)}"
        )
    try:
        return kind.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = f"{key}: {first['msg'][0].lower()}{first['msg'][1:]}"
        if first["type"] == "extra_forbidden":
            said = f"unknown option {key!r}{suggest(key, kind.model_fields)}"
        raise ValueError(f"{name}: {said}") from None

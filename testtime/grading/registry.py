"""Graders by name: one file and one line here each; one of your own is named `module:Class` and
needs no line.
"""

from __future__ import annotations

import importlib
from typing import Any

from pydantic import ValidationError

from testtime.errors import UserError, suggest
from testtime.grading.base import Grader

GRADERS = {
    "choice": "testtime.grading.choice:Choice",
    "code": "testtime.grading.code:Code",
    "exact": "testtime.grading.exact:Exact",
    "gym": "testtime.grading.gym:Gym",
    "judge": "testtime.grading.judge:Judged",
    "math": "testtime.grading.maths:Math",
    "numeric": "testtime.grading.numeric:Numeric",
    "text": "testtime.grading.text:Text",
}


def names() -> list[str]:
    """The graders that come with the package."""
    return sorted(GRADERS)


def path_of(name: str) -> str:
    """`module:Class` of a grader. Raises UserError for a name that is neither known nor such a
    path.
    """
    if name not in GRADERS and ":" not in name:
        raise UserError(
            f"there is no grader {name!r} (one of your own: give "
            f"module:Class){suggest(name, GRADERS)}"
        )
    return GRADERS.get(name, name)


def make(name: str, options: dict[str, Any]) -> Grader:
    """The grader with its options. Raises UserError for an unknown name, option or value."""
    module_name, _, class_name = path_of(name).partition(":")
    try:
        grader = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"grader {name!r} cannot be imported ({error}); write module:Class"
        ) from None
    if not (isinstance(grader, type) and issubclass(grader, Grader)):
        raise UserError(f"grader {name!r} is no subclass of testtime.grading.Grader")
    try:
        return grader.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UserError(
                f"grader {name}: unknown option {key!r}{suggest(key, grader.model_fields)}"
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(
            f"grader {name}: option {key!r}: {message}" if key else f"grader {name}: {message}"
        ) from None

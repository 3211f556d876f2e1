"""testtime: what does test-time compute buy?

`run(config)` draws, grades and evaluates; `load(path)` reads a run directory as pandas tables;
`compare`, `laws`, `plan` and `report` are the questions of the command line. All are imported on
first use.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testtime.api import Run, compare, laws, load, plan, report, run

    __version__: str

__all__ = ["Run", "__version__", "compare", "laws", "load", "plan", "report", "run"]
ROOMS = ("compare", "laws", "report")  # packages too: `testtime.laws(...)`, `testtime.laws.study`


class _Room(ModuleType):
    """A package that may be called by the name of what it is for."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return getattr(import_module("testtime.api"), self.__name__.rpartition(".")[2])(
            *args, **options
        )


class _Package(ModuleType):
    """This package: importing a room anywhere leaves its name callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ROOMS and isinstance(value, ModuleType):
            value.__class__ = _Room
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("testtime")
    if name in ROOMS:
        return import_module(f"testtime.{name}")
    if name in __all__:
        return getattr(import_module("testtime.api"), name)
    raise AttributeError(f"module 'testtime' has no attribute {name!r}")

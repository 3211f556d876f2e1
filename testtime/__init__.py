"""testtime: what does test-time compute buy?

`run(config)` draws, grades and evaluates; `load(path)` reads a run directory as pandas tables. Both
are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testtime.pipeline import Run, load, run

__all__ = ["Run", "load", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from testtime import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'testtime' has no attribute {name!r}")

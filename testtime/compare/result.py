"""What `compare` found, as tables: the one thing that words, figures and files are made from."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """axis: the compute axis; problems: those all runs share; level: of every interval; tolerance:
    what the cheapest good setting may lose.

    tables: cells, by_benchmark (where several are pooled), frontier, frontiers (every model's own),
    recommended, doublings, crossovers, equal_cost (settings at equal cost), differences,
    selectors (against each other at equal n), catching_up, and by_difficulty_frontier,
    by_difficulty_crossovers and by_difficulty_differences (leading columns of which name model and
    bin); only those that the runs support. notes: what was left out, and why.
    """

    axis: str
    problems: int
    level: float
    tolerance: float
    tables: dict[str, pd.DataFrame]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Everything as JSON: axis, problems, level, notes, and each table as a list of rows."""
        rows = {
            name: json.loads(table.to_json(orient="records")) for name, table in self.tables.items()
        }
        facts = {
            "axis": self.axis,
            "problems": self.problems,
            "level": self.level,
            "tolerance": self.tolerance,
            "notes": self.notes,
        }
        return json.dumps({**facts, "tables": rows})

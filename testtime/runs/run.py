"""A run as everything after sampling sees it: its manifest and the two tidy tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """A run directory as tables (pandas): `scores` and `cells` as DESIGN describes them."""

    path: Path
    manifest: dict[str, Any]
    scores: pd.DataFrame
    cells: pd.DataFrame

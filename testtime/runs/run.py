"""A run directory as tables: what analysis, reports and people read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testtime.config.schema import Config
from testtime.errors import UserError
from testtime.storage.manifest import Manifest
from testtime.storage.store import Store
from testtime.strategies.base import Strategy
from testtime.strategies.registry import parse

if TYPE_CHECKING:
    import pandas as pd

TABLES = ("scores", "cells")


@dataclass(frozen=True)
class Run:
    """A run directory as tables (pandas): `scores` and `cells` as DESIGN describes them."""

    path: Path
    manifest: Manifest
    scores: pd.DataFrame
    cells: pd.DataFrame

    @property
    def config(self) -> Config[Strategy]:
        return parse(self.manifest.config, str(self.path / "run.json"))


def load(path: str | Path) -> Run:
    """The tables of a run directory. Raises UserError when there is no run, or one without tables
    yet.
    """
    store = Store(path)
    manifest = store.manifest()
    names = [f"tables/{name}.parquet" for name in TABLES]
    if not all(map(store.has, names)):
        raise UserError(
            f"{path}: this run has no tables yet; finish it with `testtime run`, or "
            f"`testtime grade` what there is"
        )
    return Run(store.root, manifest, *map(store.frame, names))

"""Tables as CSV files, which people open in spreadsheets: no text of ours is a formula there.

A text that begins like one has an apostrophe in front in the file, and loses it where testtime
reads the file again.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from testtime.storage.names import from_csv, in_csv

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd


def write(table: pd.DataFrame, target: Path | IO[str]) -> None:
    """Raises OSError where that is not possible."""
    _mapped(table, in_csv).to_csv(target, index=False)


def read(source: Path | IO[Any]) -> pd.DataFrame:
    """Raises what pandas does for a file that is no CSV."""
    import pandas as pd

    return _mapped(pd.read_csv(source), from_csv)


def _mapped(table: pd.DataFrame, change: Callable[[object], object]) -> pd.DataFrame:
    """The table with its texts changed, those of its head too."""
    import pandas as pd

    changed = table.copy(deep=False)
    changed.columns = pd.Index([change(name) for name in table.columns])
    for at, (_, column) in enumerate(table.items()):
        if not pd.api.types.is_numeric_dtype(column):
            changed.isetitem(at, column.map(change, na_action="ignore").array)
    return changed

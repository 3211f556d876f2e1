"""Rows collected into parts while a pool is drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from testtime.storage import store
from testtime.storage.store import as_table
from testtime.storage.tables import SCHEMAS, CallRow, Row

_UNFIT = (pa.ArrowException, UnicodeError, OverflowError, TypeError, ValueError)


class Writer:
    """Collects rows and appends them as parts when a part is full, or whenever `flush` is called.

    A row that no table can hold is left out and named in `refused`; it takes no other with it.
    """

    def __init__(self, run: store.Store) -> None:
        self._store = run
        self._rows: dict[str, list[Row]] = {table: [] for table in SCHEMAS}
        self._values = 0
        self.refused: list[str] = []

    def add(self, table: str, row: Row) -> None:
        if isinstance(row, CallRow):  # arrays take an eighth of what lists of Python numbers do
            ids, logprobs = np.asarray(row.token_ids), np.asarray(row.logprobs, np.float32)
            self._values += len(ids) + len(logprobs)
            if ids.dtype.kind == "i" or not len(ids):
                packed: Any = {"token_ids": ids.astype(np.int32), "logprobs": logprobs}
                row = replace(row, **packed)
        self._rows[table].append(row)
        if self._values >= store.PART_VALUES or len(self._rows[table]) >= store.PART_ROWS:
            self.flush()

    def flush(self) -> None:
        for table, rows in self._rows.items():  # calls before the attempts that stand on them
            try:
                self._store.append(table, rows)
            except _UNFIT:
                self._store.append(table, [row for row in rows if self._fits(table, row)])
            rows.clear()  # only what is on disk is forgotten
        self._values = 0

    def _fits(self, table: str, row: Row) -> bool:
        try:
            as_table(table, [row])
        except _UNFIT as error:
            self.refused.append(f"a row of {table}: {' '.join(str(error).split())[:200]}")
            return False
        return True

"""Stored verifications as columns of the scores table: the grid of solving against verifying.

The v-th verification of an answer never knew how many would follow, so they are nested: column
NAME_v is the mean of the first v, NAME_v_flops what these cost. The cells of S samples under
`weighted:NAME_v` are then the whole grid S(1 + lambda V) of Singhi et al. (2025, "When to solve,
when to verify"), each paying for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testtime.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd


def counts(times: int) -> list[int]:
    """The numbers of verifications that have a column: powers of two up to `times`, and it."""
    return sorted({times, *(1 << i for i in range(times.bit_length()))})


def column(name: str, count: int) -> str:
    return f"{name}_{count}"


def verification_columns(store: Store) -> pd.DataFrame | None:
    """The stored verifications, one row an answer: its key, and for each name and count a column of
    P(right) and one of FLOPs; null where an answer has fewer. None where there are none.
    """
    import pandas as pd

    rows = store.read("verifications").to_pandas()
    if rows.empty:
        return None
    columns: dict[str, pd.Series] = {}
    for name, own in rows.groupby("name"):
        value, flops = (
            own.pivot(index="key", columns="number", values=v) for v in ("value", "flops")
        )
        for count in counts(int(own["number"].max()) + 1):
            first = list(range(count))
            known = value.reindex(columns=first)
            columns[column(str(name), count)] = known.mean(axis=1, skipna=False)
            spent = flops.reindex(columns=first).sum(axis=1, skipna=False)
            columns[f"{column(str(name), count)}_flops"] = spent
    return pd.DataFrame(columns).rename_axis("key").reset_index()

"""Stored calls put together again: parts merged, and what stands on what.

The one place that knows how a chain is stored, for whoever resumes a run, scores its texts by a
reward model, or reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from testtime.storage.store import Store
from testtime.storage.tables import CallRow

_NAMES = [f.name for f in fields(CallRow)]
_BATCH = 1024  # rows as Python objects at a time


def read_calls(
    store: Store, problem_ids: Sequence[str], samples: Sequence[int] | None = None
) -> dict[str, CallRow]:
    """The calls of some problems by key, each whole: parts without what precedes them are left out.

    samples: which (None: all).
    """
    chosen = pc.field("problem_id").isin(list(problem_ids))
    if samples is not None:
        chosen &= pc.field("sample").isin(list(samples))
    whole: dict[str, CallRow] = {}
    for row in _rows(store.read_parts("calls", _NAMES, chosen)):
        before = whole.get(row.key)
        if before is None and row.start == 0:
            whole[row.key] = row
        elif before is not None and row.start == before.tokens:
            before.token_ids += row.token_ids
            before.logprobs += row.logprobs
            before.tokens, before.finish = before.tokens + row.tokens, row.finish
    return whole


def chain_lengths(store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of every stored chain, its parts joined, and whether each goes on beyond them."""
    rows = store.read("calls", ["tokens", "finish"], pc.field("kind") == "think")
    chains = rows.sort_by("start").to_pandas().groupby("key", sort=False)
    tokens, finish = chains["tokens"].sum(), chains["finish"].last()
    return tokens.to_numpy(dtype=float), finish.eq("length").to_numpy()


def thinking_ids(calls: Mapping[str, CallRow], answer: CallRow) -> list[int]:
    """The ids of the thinking that an answer stands on, what was fed on the way included, without
    the ending that was fed for the answer itself.
    """
    if answer.kind == "told":
        return list(answer.token_ids[: answer.thinking])
    return _behind(calls, answer)


def line_ids(calls: Mapping[str, CallRow], call: CallRow) -> list[int]:
    """The ids behind the prompt up to the end of a chain, what was fed on the way included."""
    return [*_behind(calls, call), *call.fed, *call.token_ids]


def fed_on_the_way(calls: Mapping[str, CallRow], call: CallRow) -> list[tuple[int, CallRow]]:
    """The calls from the prompt to this one that were fed something, each with the tokens behind
    the prompt where that begins.
    """
    base = calls.get(call.parent)
    before = [] if base is None else fed_on_the_way(calls, base)
    return [*before, (len(_behind(calls, call)), call)] if call.fed else before


def _behind(calls: Mapping[str, CallRow], call: CallRow) -> list[int]:
    """The ids between the prompt and what `call` was fed."""
    base = calls.get(call.parent)
    if base is None:
        return []
    return [*_behind(calls, base), *base.fed, *base.token_ids[: call.kept]]


def intact(calls: pa.Table) -> set[str]:
    """Keys of the calls that have all that they stand on; calls: key, parent, kept, start, tokens.

    What was drawn behind a lost call is lost with it: the engine may draw it otherwise this time.
    """
    calls = calls.sort_by("start")
    length: dict[str, int] = {}
    stands: dict[str, tuple[str, int]] = {}
    columns = (calls[name].to_pylist() for name in ("key", "parent", "kept", "start", "tokens"))
    for key, parent, kept, start, tokens in zip(*columns, strict=True):
        if start == length.get(key, 0):
            length[key] = start + tokens
        stands[key] = (parent, kept)
    known: dict[str, bool] = {}

    def whole(key: str) -> bool:
        path = []
        while key not in known:
            path.append(key)
            parent, kept = stands.get(key, ("", 0))
            if parent.startswith("#"):
                known[key] = key in length
            elif key not in length or kept > length.get(parent, -1):
                known[key] = False
            else:
                key = parent
                continue
            break
        for below in path:
            known.setdefault(below, known[key])
        return known[path[0]] if path else known[key]

    return {key for key in stands if whole(key)}


def mend(store: Store) -> list[str]:
    """Set damaged parts aside, and drop the rows that lost what they stand on, so that all of them
    are drawn again. Returns the names of the parts set aside now.
    """
    damaged = store.mend()
    if not store.set_aside("calls"):
        return damaged
    columns = ["parent", "kept", "tokens"]
    left = intact(store.read("calls", columns))
    store.filter("calls", lambda rows: pc.is_in(rows["key"], pa.array(sorted(left), pa.string())))

    def answered(rows: pa.Table) -> pa.Array:
        lists = rows["answers"].to_pylist()
        return pa.array([all(key in left for key in keys) for keys in lists], pa.bool_())

    store.filter("attempts", answered)
    return damaged


def _rows(parts: Iterable[pa.Table]) -> Iterator[CallRow]:
    """Rows of all parts, a call's first part first."""
    tables = list(parts)
    if not tables:
        return
    ordered = pa.concat_tables(tables).sort_by("start")
    for batch in ordered.to_batches(max_chunksize=_BATCH):
        columns = (batch[name].to_pylist() for name in _NAMES)
        for values in zip(*columns, strict=True):
            yield CallRow(*values)

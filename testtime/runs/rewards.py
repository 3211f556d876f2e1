"""The reward pass: a reward model reads what a finished pool holds, and its scores become columns
that selectors use.

It is a pass of its own over the stored answers, so it can be added to any run later and resumed
like sampling. A row's key is the answer and the column's name; another reward model takes another
name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from testtime.compute.flops import Flops
from testtime.storage.store import Store
from testtime.storage.tables import KEYS

if TYPE_CHECKING:
    import pandas as pd

    from testtime.engines.reward import Over, RewardModel

BLOCK = 32  # problems whose chains are in memory at once
Decode = Callable[[list[int]], str]


def reward_pool(
    store: Store, model: RewardModel, flops: Flops, decode: Decode, name: str, over: Over = "text"
) -> int:
    """Score every stored answer that has no reward of this name; returns how many there were.

    The model reads the question and, as the response, the thinking up to the cut followed by the
    answer. decode: token ids of the run's model to text; flops: of the reward model.
    """
    asked = store.read("problems", ["question"])
    questions = dict(
        zip(asked["problem_id"].to_pylist(), asked["question"].to_pylist(), strict=True)
    )
    scored = store.read("rewards", [], pc.field("name") == name)
    done = set(zip(*(scored[key].to_pylist() for key in KEYS["answers"]), strict=True))
    count = 0
    names = list(questions)
    for start in range(0, len(names), BLOCK):
        chosen = pc.field("problem_id").isin(names[start : start + BLOCK])
        chains = _chains(store, chosen)
        rows = [
            row
            for row in store.read("answers", ["text"], chosen).to_pylist()
            if _key(row) not in done
        ]
        pairs = []
        for row in rows:
            kept = chains[row["problem_id"], row["sample"], row["variant"]][: row["cut"]]
            # Where the chain is its own answer, its text stands there once.
            thinking = decode(kept) if kept and row["spec"] else ""
            pairs.append((questions[row["problem_id"]], f"{thinking}\n\n{row['text']}".strip()))
        found = model.score(pairs, over)
        costs = flops.score_flops(found.tokens)
        parts = zip(rows, found.value.tolist(), costs.tolist(), strict=True)
        store.append(
            "rewards",
            [{**row, "name": name, "reward": value, "flops": cost} for row, value, cost in parts],
        )
        count += len(rows)
    store.compact("rewards")
    return count


def reward_columns(store: Store) -> pd.DataFrame | None:
    """The stored rewards, one row an answer: its key, and for each name a column of rewards and one
    of FLOPs.
    """
    rewards = store.read("rewards").to_pandas()
    if rewards.empty:
        return None
    wide: pd.DataFrame = rewards.pivot(
        index=KEYS["answers"], columns="name", values=["reward", "flops"]
    )
    labels: Any = wide.columns  # (what, name)
    wide.columns = [name if what == "reward" else f"{name}_flops" for what, name in labels]
    return wide.reset_index()


def _chains(store: Store, chosen: Any) -> defaultdict[tuple[str, int, str], list[int]]:
    """Token ids of each stored chain; an empty list for one that was not drawn."""
    found: defaultdict[tuple[str, int, str], list[int]] = defaultdict(list)
    for row in _rows(store.read("chains", ["token_ids"], chosen).sort_by("start")):
        held = found[row["problem_id"], row["sample"], row["variant"]]
        held[row["start"] :] = row["token_ids"]
    return found


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in KEYS["answers"])

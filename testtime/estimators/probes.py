"""When to stop thinking: rules within a chain, from a pool of nested cuts.

At every stored cut the answer that the chain would have given is known, so a rule that asks for it
and stops when it is sure can be judged without a new token. It pays what it would really spend: the
thinking up to where it stops, and every answer that it asked for on the way, their forced endings
included. A chain that ends by itself before a cut needs no probe there. What comes out is a scores
table, one setting a rule, so votes across samples, stopping rules across samples, frontiers and
comparisons read it like any other.

    agree:COUNT         the last COUNT probes agree (Dynasor, Fu et al. 2024)
    certain:COLUMN:BAR  the probe's COLUMN reaches BAR, as certain:answer_logprob:-0.05 (CGR)
    change:COUNT        the answer has changed COUNT times
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError, suggest
from testtime.estimators.table import GROUP, normalise
from testtime.grammar import PROBES, Name, parse

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

SPENT = ("forced_tokens", "answer_tokens")  # of each probe
STALE = ("flops", "usd", "seconds")  # with their prompt_ forms: of single attempts, not of probes


@dataclass(frozen=True, slots=True)
class Chains:
    """The chains of one model and setting at every cut; arrays (chains, cuts).

    cuts: ascending budgets; row: position in the table of each (chain, cut); key: answers, -1 none;
    ended: whether the chain has ended by itself before the cut; table: the scores table.
    """

    table: pd.DataFrame
    cuts: Floats
    row: Ints
    key: Ints
    ended: Flags

    def of(self, column: str) -> Floats:
        """A numeric column at every cut; 0 where the table lacks it."""
        if column not in self.table:
            return np.zeros(self.row.shape)
        values = self.table[column].to_numpy(dtype=np.float64, na_value=np.nan)
        result: Floats = values[self.row]
        return result


def chains(scores: pd.DataFrame, cuts: Sequence[int] | None = None) -> list[Chains]:
    """The nested chains of a scores table, one entry a model and setting with at least two budgets.

    cuts: the budgets to read (None: all). Chains that lack one of the cuts are left out. Raises
    UserError for tables without nested budgets, answers or thinking tokens, and unknown cuts.
    """
    table = normalise(scores)
    for name in ("answer_key", "thinking_tokens"):
        if name not in table:
            raise UserError(f"probes: the scores table needs a column {name!r} at every budget")
    if cuts is not None and (absent := set(cuts) - set(table["budget"])):
        known = ", ".join(f"{b:g}" for b in sorted(table["budget"].dropna().unique()))
        raise UserError(f"probes: no cut at {min(absent):g}; the table holds {known}")
    result = []
    for _, part in table.groupby(["model", "setting"], sort=True):
        part = part[part["budget"].notna()]
        if cuts is not None:
            part = part[part["budget"].isin(list(cuts))]
        budgets = np.sort(part["budget"].unique())
        if len(budgets) < 2:
            continue
        part = part.assign(at=np.searchsorted(budgets, part["budget"]))
        part = part.sort_values(["problem_id", "sample", "at"]).reset_index(drop=True)
        whole = part.groupby(["problem_id", "sample"])["at"].transform("size") == len(budgets)
        part = part[whole].reset_index(drop=True)
        row = np.arange(len(part)).reshape(-1, len(budgets))
        code = part["answer_key"].astype("category").cat.codes.to_numpy().astype(np.int64)
        forced = (
            part["forced"].fillna(True).to_numpy(dtype=bool)
            if "forced" in part
            else (part["thinking_tokens"] >= part["budget"]).to_numpy()
        )
        ended = np.logical_or.accumulate(~forced[row], axis=1)
        result.append(Chains(part.drop(columns="at"), budgets, row, code[row], ended))
    if not result:
        raise UserError("probes: needs one setting with at least two budgets cut from its chains")
    return result


def stop_thinking(
    scores: pd.DataFrame, rules: Sequence[str], cuts: Sequence[int] | None = None
) -> pd.DataFrame:
    """The scores table of rules within chains: one setting a rule, one row for each problem, sample
    and cap.

    budget is the cap: the rule stops there at the latest. cuts: where it probes, the last being the
    largest cap (None: every budget above 0). Score, answer_key and further columns are those of the
    cut where it stops; thinking_tokens what was thought until there; forced_tokens and
    answer_tokens the sums over all probes; probes, how many answers were asked for before the one
    given. Costs beside tokens are left out: `compute.costs.with_costs` gives them anew. Raises
    UserError for unknown rules and what `chains` refuses.
    """
    import pandas as pd

    names = [parse(text, PROBES, "probing rule") for text in rules]
    if cuts is None:
        cuts = [int(b) for b in sorted(normalise(scores)["budget"].dropna().unique()) if b > 0]
    parts = []
    for group in chains(scores, cuts):
        for name in names:
            stop = _stop(name, group)
            parts += [_stopped(group, name, stop, cap) for cap in range(len(group.cuts))]
    table = pd.concat(parts, ignore_index=True)
    stale = [c for c in table if str(c).removeprefix("prompt_") in STALE]
    result: pd.DataFrame = table.drop(columns=stale)
    return result


def _stop(name: Name, group: Chains) -> Ints:
    """Index of the cut at which each chain stops, the last where the rule never does: (chains,)."""
    if name.column and name.column not in group.table:
        raise UserError(
            f"probing rule {name.text!r}: the scores table has no column "
            f"{name.column!r}{suggest(name.column, map(str, group.table.columns))}"
        )
    stops = KERNELS[name.kind](name, group) | group.ended
    stops[:, -1] = True
    result: Ints = stops.argmax(axis=1)
    return result


def _agree(name: Name, group: Chains) -> Flags:
    wanted = int(name.numbers[0])
    run = np.where(group.key >= 0, 1, 0)
    for j in range(1, run.shape[1]):
        again = (group.key[:, j] == group.key[:, j - 1]) & (group.key[:, j] >= 0)
        run[:, j] = np.where(again, run[:, j - 1] + 1, run[:, j])
    return np.asarray(run >= wanted)


def _certain(name: Name, group: Chains) -> Flags:
    return np.asarray(group.of(name.column) >= name.numbers[0])


def _change(name: Name, group: Chains) -> Flags:
    return np.asarray(changes_so_far(group.key) >= int(name.numbers[0]))


KERNELS: Mapping[str, Callable[[Name, Chains], Flags]] = {
    "agree": _agree,
    "certain": _certain,
    "change": _change,
}


def changes_so_far(key: Ints) -> Ints:
    """How often the answer has changed up to each cut, unparsed ones (-1) passed over: (chains,
    cuts).
    """
    changes, last = np.zeros_like(key), key[:, 0].copy()
    for j in range(1, key.shape[1]):
        new = (key[:, j] >= 0) & (last >= 0) & (key[:, j] != last)
        changes[:, j] = changes[:, j - 1] + new
        last = np.where(key[:, j] >= 0, key[:, j], last)
    return changes


def _stopped(group: Chains, name: Name, stop: Ints, cap: int) -> pd.DataFrame:
    """The rule's rows at one cap."""
    at = np.minimum(stop, cap)
    every = np.arange(len(at))
    table = group.table.iloc[group.row[every, at]].reset_index(drop=True)
    asked = np.arange(group.row.shape[1]) <= at[:, None]
    for column in SPENT:
        table[column] = np.where(asked, group.of(column), 0.0).sum(axis=1)
    table["setting"] = (table["setting"] + " " + name.text).str.strip()
    table["budget"], table["probes"] = group.cuts[cap], at.astype(np.int64)
    result: pd.DataFrame = table[[*GROUP, *(c for c in table if c not in GROUP)]]
    return result

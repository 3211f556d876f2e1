"""What a stopping rule is worth and costs, from a pool already drawn, in two deployments.

*One by one*: samples are drawn in random order until the rule stops; what it draws between two
looks runs side by side. *Launch and cancel*: all n start at once, the rule sees them in the order
in which they end, and those still running when it stops are cancelled. That one sees short chains
first, which changes the answer, and generates tokens that nobody counts: so `counted_tokens` (of
samples that voted) and `tokens` (truly generated) are both said. Values and costs are expectations
over the order of the samples: over all orders where these are few, else over random ones with the
error of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from testtime.errors import UserError
from testtime.estimators import stopping
from testtime.estimators.cells import summary
from testtime.estimators.grid import Grid, cell_table, strata_of
from testtime.estimators.orders import Ordered, complete, orders
from testtime.estimators.selectors import check_columns
from testtime.estimators.table import Pool, path_tokens, pools
from testtime.estimators.votes import Replay, count
from testtime.grammar import RULES, Name

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Deployment = Literal["one by one", "launch and cancel"]
DEPLOYMENTS: tuple[Deployment, ...] = ("one by one", "launch and cancel")

MEASURES = ("value", "samples", "counted_tokens", "tokens", "latency")
PRICED = ("flops", "usd", "seconds")  # costs of a sample beside its tokens


@dataclass(frozen=True)
class Stopped:
    """Rules by problems, as a grid whose selector is the rule and its deployment.

    grid: its n is the most samples that the rule may draw; costs are those truly generated (tokens,
    flops, usd, seconds). rule, deployment: (cells,). samples, counted_tokens, latency: (problems,
    cells), expected samples seen, tokens of those, and tokens on the longest path.
    """

    grid: Grid
    rule: list[str]
    deployment: list[str]
    samples: Floats
    counted_tokens: Floats
    latency: Floats

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """One row a cell: model, setting, budget, rule, deployment, n, value, lo, hi, problems,
        samples, counted_tokens, tokens, latency (means a problem), flops, usd, seconds, mc_error.
        """
        table = summary(self.grid.bootstrap(1), level)
        for name in ("samples", "counted_tokens", "latency"):
            table[name] = self.grid.means(getattr(self, name))
        table["rule"], table["deployment"] = self.rule, self.deployment
        columns = ["model", "setting", "budget", "rule", "deployment", "n", "value", "lo", "hi"]
        columns += ["problems", "samples", "counted_tokens", "tokens", "latency", *PRICED]
        return table[[*columns, "mc_error"]]


def stopped(
    scores: pd.DataFrame,
    rules: Sequence[str] = ("fixed", "beta", "dirichlet", "esc", "share"),
    n: Sequence[int] | None = None,
    *,
    deployments: Sequence[Deployment] = DEPLOYMENTS,
    draws: int | None = None,
    seed: int = 0,
) -> Stopped:
    """Every rule on every pool of a scores table.

    rules: names as `stopping` lists them; n: the most samples a rule may draw (None: powers of two
    and all). draws: random orders a problem (None: as many as READS allows, 16 to 512). Launch and
    cancel needs lengths (thinking_tokens, answer_tokens) and is left out of pools without them.
    Raises UserError for unknown rules, absent columns, and tables without votes.
    """
    groups, names = pools(scores), [stopping.rule(text) for text in rules]
    if not names:
        raise UserError(f"stopping rules: name at least one of {', '.join(RULES)}")
    for name in names:
        check_columns(name, "stopping rule", RULES, scores, groups)
    problems = np.unique(np.concatenate([p.problems for p in groups]))
    rows: list[tuple[str, str, float, int, str]] = []
    labels: list[tuple[str, str]] = []
    parts: dict[str, list[Floats]] = {}
    errors = []
    for pool in groups:
        caps = sorted({k for k in (n or [*_powers(pool.scored), pool.scored]) if k <= pool.scored})
        unknown = pool.key.max(initial=-1) < 0 and np.nanmax(pool.score, initial=0) > 0
        if not caps or caps[0] < 1 or unknown:
            continue
        usable = [x for x in names if not x.column or not np.isnan(pool.columns[x.column]).all()]
        lengths = not np.isnan(path_tokens(pool)[~np.isnan(pool.score)]).any()
        ways = [d for d in deployments if d == "one by one" or lengths]
        found, error = _pool(pool, usable, caps, ways, draws, seed)
        at = np.searchsorted(problems, pool.problems)
        for measure, values in found.items():
            spread = np.full((len(problems), values.shape[1]), np.nan)
            spread[at] = values
            parts.setdefault(measure, []).append(spread)
        errors.append(error)
        for way in ways:
            for name in usable:
                labels += [(name.text, way)] * len(caps)
                selector = f"{name.text}, {way}"
                rows += [(pool.model, pool.setting, pool.budget, k, selector) for k in caps]
    if not rows:
        raise UserError("stopping rules: no pool of the scores table holds answers that can vote")
    every = {name: np.hstack(values) for name, values in parts.items()}
    table = cell_table(rows)
    caps_of = table["n"].to_numpy(dtype=np.float64)
    unit = {name: every[name] / caps_of for name in ("tokens", *PRICED) if name in every}
    grid = Grid(
        cells=table,
        problems=problems,
        strata=strata_of(scores, problems),
        value=every["value"],
        mc_error=np.concatenate(errors),
        prefill="once",
        _unit=unit,
        _pool=np.arange(len(rows)),
    )
    more = (every[name] for name in ("samples", "counted_tokens", "latency"))
    return Stopped(grid, [rule for rule, _ in labels], [way for _, way in labels], *more)


def _pool(
    pool: Pool,
    names: Sequence[Name],
    caps: Sequence[int],
    ways: Sequence[Deployment],
    draws: int | None,
    seed: int,
) -> tuple[dict[str, Floats], Floats]:
    """Measures of one pool, (problems, ways x names x caps) each, and the error that Monte Carlo
    adds to each cell's mean value.
    """
    shape = len(pool.problems), len(ways) * len(names) * len(caps)
    priced = [c for c in PRICED if c in pool.columns]
    measures = {name: np.full(shape, np.nan) for name in (*MEASURES, *priced)}
    spread = np.zeros(shape)
    wanted = {*priced, *(f"prompt_{c}" for c in priced), *(x.column for x in names)}
    wanted |= {f"{x.column}_flops" for x in names}
    for rows, ordered in orders(pool, wanted, draws, seed):
        for place, cell in _cells(ordered, names, caps, ways, priced):
            for measure, values in cell.items():
                each = values.reshape(len(rows), -1)
                measures[measure][rows, place] = each.mean(axis=1)
                if measure == "value" and not complete(pool, draws):
                    spread[rows, place] = each.var(axis=1, ddof=1) / each.shape[1]
    return measures, np.sqrt(spread.sum(axis=0)) / shape[0]


def _cells(
    drawn: Ordered,
    names: Sequence[Name],
    caps: Sequence[int],
    ways: Sequence[Deployment],
    priced: Sequence[str],
) -> Iterator[tuple[int, dict[str, Floats]]]:
    """Every cell by its place, way by way, rule by rule, cap by cap: measure -> (orders,)."""
    for w, way in enumerate(ways):
        first = w * len(names) * len(caps)
        if way == "launch and cancel":
            for c, cap in enumerate(caps):
                seen = drawn.ended_in_order(cap)
                for r, (name, votes) in enumerate(_replays(seen, names)):
                    stop = stopping.stop_after(name, votes)
                    cell = _cancelled(seen, stop, votes.value, priced, name)
                    times = len(drawn.key) // len(seen.key)
                    yield first + r * len(caps) + c, {m: v.repeat(times) for m, v in cell.items()}
            continue
        for r, (name, votes) in enumerate(_replays(drawn, names)):
            each = _one_by_one(drawn, name, votes, caps, priced)
            for c, cell in enumerate(each):
                yield first + r * len(caps) + c, cell


def _replays(seen: Ordered, names: Sequence[Name]) -> Iterator[tuple[Name, Replay]]:
    """Each rule with the votes as it counts them; rules that read no column share one count."""
    plain = count(seen.key, seen.score)
    for name in names:
        yield name, stopping.counted(name, plain, seen.score, seen.column.get(name.column))


def _one_by_one(
    drawn: Ordered, name: Name, votes: Replay, caps: Sequence[int], priced: Sequence[str]
) -> Iterator[dict[str, Floats]]:
    """One after the other: one replay serves every cap."""
    stop = stopping.stop_after(name, votes)
    wait = _waiting(drawn.path, stopping.looks(name, drawn.path.shape[1]))
    running = np.cumsum(drawn.tokens, axis=1)
    paid = {c: np.cumsum(_cost(drawn, c, name), axis=1) for c in priced}
    for cap in caps:
        last = np.minimum(stop, cap)
        at = np.arange(len(last)), last - 1
        counted = running[at]
        cell = {"value": votes.value[at], "samples": last.astype(np.float64)}
        cell |= {"counted_tokens": counted, "tokens": counted, "latency": wait[at]}
        for c, total in paid.items():
            cell[c] = total[at] - (last - 1) * _shared(drawn, c)
        yield cell


def _cancelled(
    seen: Ordered, stop: Ints, value: Floats, priced: Sequence[str], name: Name
) -> dict[str, Floats]:
    """Launch and cancel: samples in the order they end. What still runs has drawn as many tokens as
    the one that ended last; its other costs are taken pro rata of its length.
    """
    launched = seen.path.shape[1]
    last = np.minimum(stop, launched)
    at = np.arange(len(last)), last - 1
    end = seen.path[at]
    counted = np.cumsum(seen.tokens, axis=1)[at]
    cell = {"value": value[at], "samples": last.astype(np.float64), "counted_tokens": counted}
    cell |= {"tokens": counted + (launched - last) * end, "latency": end}
    for c in priced:
        cost = _cost(seen, c, name)
        rate = cost / np.maximum(seen.path, 1.0)
        running = rate[:, ::-1].cumsum(axis=1)[:, ::-1][at] - rate[at]
        spent = np.cumsum(cost, axis=1)[at] + end * running
        cell[c] = spent - (launched - 1) * _shared(seen, c)
    return cell


def _cost(drawn: Ordered, name: str, rule: Name) -> Floats:
    """What each sample costs, the verifier whose scores the rule reads included."""
    cost, extra = drawn.column[name], drawn.column.get(f"{rule.column}_flops")
    return cost + extra if name == "flops" and extra is not None else cost


def _shared(drawn: Ordered, name: str) -> Floats:
    """What each further sample saves, since the prompt is prefilled once: (orders,)."""
    saved = drawn.column.get(f"prompt_{name}")
    return saved.mean(axis=1) if saved is not None else np.zeros(len(drawn.key))


def _waiting(path: Floats, looks: NDArray[np.bool_]) -> Floats:
    """Tokens on the longest path after each sample: batches one after the other, side by side
    within: (orders, samples).
    """
    if looks[:-1].all():
        alone: Floats = np.cumsum(path, axis=1)
        return alone
    lengths = np.ascontiguousarray(path.T)
    result, before, batch = np.empty_like(lengths), np.zeros(len(path)), np.zeros(len(path))
    for step, length in enumerate(lengths):
        batch = np.maximum(batch, length)
        result[step] = before + batch
        if looks[step]:
            before, batch = result[step], np.zeros(len(path))
    return result.T


def _powers(top: int) -> list[int]:
    return [1 << i for i in range(top.bit_length())]

"""What a stored pool still lacks, and what of it is known: the lives that the engine has to take
up.

A chain may be stored in several rows, each continuing it from token `start`; one that was not drawn
is a chain of no tokens. Rows that lost what they stand on (a damaged part was set aside) are
dropped and drawn again: the engine may draw the chain otherwise this time, and old answers would
not be answers to it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from testtime.runs.prepare import Job
from testtime.runs.progress import Progress
from testtime.storage.store import Store
from testtime.strategies.budget import Chain
from testtime.strategies.plan import Life, Variant

Key = tuple[str, int, str]  # problem, sample, variant
BLOCK_TOKENS = 4_000_000  # stored tokens in memory at once when a pool is resumed or extended


def mend(job: Job, progress: Progress) -> None:
    """Set damaged parts aside, and drop the rows that lost what they stand on, so that all of them
    are drawn again.
    """
    store, bases = job.store, {variant.name: variant.base for variant in job.plan.variants()}
    for part in store.mend():
        progress.say(f"damaged part set aside as .corrupt, its rows are drawn again: {part}")
    if job.plan.whole:  # one request: half of what it gave is worth nothing
        chains, answers = (set(_keys(store.read(table, []))) for table in ("chains", "answers"))
        both = chains & answers
        if both == chains | answers:
            return
        for table in ("chains", "answers"):
            store.filter(
                table, lambda rows: pa.array([key in both for key in _keys(rows)], pa.bool_())
            )
        return
    if not store.set_aside("chains"):
        return
    ends = chain_ends(store.read("chains", ["tokens", "finish"]))

    def whole(key: Key) -> bool:
        """Whether the chain that this one extends, if any, is there to its natural end, and so on
        down.
        """
        base = bases.get(key[2])
        below = (*key[:2], base or "")
        return base is None or (ends.get(below, (0, ""))[1] == "natural" and whole(below))

    def stands(rows: pa.Table) -> pa.Array:
        upto = rows["cut"] if "cut" in rows.column_names else pc.add(rows["start"], rows["tokens"])
        pairs = zip(_keys(rows), upto.to_pylist(), strict=True)
        return pa.array(
            [end <= ends.get(key, (0, ""))[0] and whole(key) for key, end in pairs], pa.bool_()
        )

    for table in ("chains", "answers"):
        store.filter(table, stands)


def chain_ends(rows: pa.Table) -> dict[Key, tuple[int, Any]]:
    """For each chain, how many of its tokens are stored without a gap, and how it finished."""
    rows = rows.sort_by("start")
    ends: dict[Key, tuple[int, Any]] = {}
    columns = (rows[name].to_pylist() for name in ("start", "tokens", "finish"))
    for key, start, tokens, finish in zip(_keys(rows), *columns, strict=True):
        if start == ends.get(key, (0, ""))[0]:
            ends[key] = (start + tokens, finish)
    return ends


def pending(job: Job, variants: Sequence[Variant] | None = None) -> list[tuple[Life, int]]:
    """The lives that lack their chain, part of it, or an answer, each with the number of stored
    tokens it stands on.

    variants: those of one pass; all by default. A chain that did not end by itself has nothing to
    extend. The tokens themselves are read when their turn comes (see `known`).
    """
    ends = chain_ends(job.store.read("chains", ["tokens", "finish"]))
    answered: defaultdict[Key, set[tuple[int, str]]] = defaultdict(set)
    stored = job.store.read("answers", [])
    for key, at, spec in zip(
        _keys(stored), stored["cut"].to_pylist(), stored["spec"].to_pylist(), strict=True
    ):
        answered[key].add((at, spec))
    plan, todo = job.plan, []
    for row in job.problems:
        prompt = tuple(row["prompt_ids"])
        messages = None if prompt else tuple(json.loads(row["prompt"]))
        for sample in range(plan.samples):
            for variant in plan.variants() if variants is None else variants:
                key = (row["problem_id"], sample, variant.name)
                if plan.whole:
                    if not answered[key]:
                        todo.append((Life(row["problem_id"], prompt, sample, variant, messages), 0))
                    continue
                length, finish = ends.get(key, (0, "length"))
                weight, shared = length, -1
                if variant.base is not None:
                    base_length, base_finish = ends.get(
                        (row["problem_id"], sample, variant.base), (0, "length")
                    )
                    if base_finish != "natural" or base_length > variant.cap:
                        continue
                    weight, shared = weight + base_length, plan.split(base_length)
                cuts = plan.cuts(length, finish, variant.budgets, shared)
                wanted = {(c.tokens, plan.spec(c.forced)) for c in cuts}
                if wanted <= answered[key] and (finish != "length" or length >= variant.cap):
                    continue
                life = Life(
                    row["problem_id"], prompt, sample, variant, answered=frozenset(answered[key])
                )
                todo.append((life, weight))
    return todo


def known(store: Store, todo: Sequence[tuple[Life, int]]) -> Iterator[Life]:
    """The lives with what is stored of their chains, which is read a bounded block at a time."""
    block: list[Life] = []
    weight = 0
    for life, length in todo:
        if weight + length > BLOCK_TOKENS and block:
            yield from _load(store, block, weight)
            block, weight = [], 0
        block.append(life)
        weight += length
    yield from _load(store, block, weight)


def _load(store: Store, lives: list[Life], weight: int) -> Iterator[Life]:
    if not weight:
        yield from lives
        return
    wanted = {
        (life.problem_id, life.sample, name)
        for life in lives
        for name in (life.variant.name, life.variant.base)
        if name is not None
    }
    problems = pc.field("problem_id").isin(list({key[0] for key in wanted}))
    columns = ["problem_id", "sample", "variant", "start", "token_ids", "logprobs", "finish"]
    parts = [
        part.filter(pa.array([key in wanted for key in _keys(part)], pa.bool_()))
        for part in store.read_parts("chains", columns, problems)
    ]
    rows = pa.concat_tables(parts).sort_by("start")
    where: defaultdict[Key, list[int]] = defaultdict(list)
    for index, key in enumerate(_keys(rows)):
        where[key].append(index)

    def chain_of(life: Life, name: str) -> tuple[Chain, tuple[float, ...]]:
        chain, logprobs = Chain([], "length"), ()
        for index in where[life.problem_id, life.sample, name]:
            row = rows.slice(index, 1).to_pylist()[0]
            if row["start"] == len(chain.token_ids):
                chain = Chain([*chain.token_ids, *row["token_ids"]], row["finish"])
                logprobs = (*logprobs, *row["logprobs"])
        return chain, logprobs

    for life in lives:
        chain, logprobs = chain_of(life, life.variant.name)
        base, base_logprobs = (
            (None, ()) if life.variant.base is None else chain_of(life, life.variant.base)
        )
        yield replace(life, known=chain, logprobs=logprobs, base=base, base_logprobs=base_logprobs)


def _keys(rows: pa.Table) -> Iterator[Key]:
    return zip(
        *(rows[name].to_pylist() for name in ("problem_id", "sample", "variant")), strict=True
    )

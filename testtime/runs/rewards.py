"""The reward pass: a reward model reads what a finished pool holds, and its scores become columns
that selectors use.

It is a pass of its own over the stored answers, so it can be added to any run later and resumed
like sampling. A row's key is the answer and the column's name; another reward model takes another
name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from testtime import zoo
from testtime.compute.flops import Flops
from testtime.engines.readers import HEADS, ReadBy, architecture_of
from testtime.engines.reward import Over, RewardModel, config_of
from testtime.engines.step_rewards import StepRewards
from testtime.errors import UserError
from testtime.models.resolve import decoder, resolve, served
from testtime.runs.columns import TAKEN
from testtime.runs.verdicts import ANSWERS
from testtime.storage.calls import read_calls, thinking_ids
from testtime.storage.store import Store
from testtime.storage.tables import RewardRow
from testtime.strategies.registry import parse

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 32  # problems whose chains are in memory at once
Judge = RewardModel | StepRewards
Decode = Callable[[Sequence[int]], str]


def reward(store: Store, model: str | Path, name: str, over: Over, engine: ReadBy) -> None:
    """Score a run's answers by a reward model of the zoo or in a folder, and put best:NAME and
    weighted:NAME among the selectors of its manifest. Raises UserError as `pipeline.reward` says.
    """
    manifest = store.manifest()
    if manifest.imported:
        raise UserError(
            f"{store.root}: an imported run keeps no chains; put the rewards into its log as a "
            "column"
        )
    check_name(name, "reward")
    config = parse(manifest.config, str(store.root / "run.json"))
    ref = config.model[0]
    asked = served(ref.name) if config.engine.chat else resolve(ref.name, ref.revision)
    model = zoo.path(str(model)) if str(model) in zoo.names() else model
    judge = _judge(model, over, engine)
    try:
        flops = Flops.from_config(model)
        reward_pool(store, judge, flops, decoder(asked.tokenizer), name, over)
    finally:
        judge.close()
    selectors = list(dict.fromkeys([*config.selectors, f"best:{name}", f"weighted:{name}"]))
    told = {**manifest.config, "selectors": selectors}
    store.write_manifest(manifest.changed(config=told))


def _judge(model: str | Path, over: Over, engine: ReadBy) -> Judge:
    """A process reward model of a family without one of the two heads is read step by step."""
    if architecture_of(config_of(model)).endswith(HEADS):
        return RewardModel(model, engine=engine)
    return StepRewards(model, engine)


def check_name(name: str, such_as: str) -> None:
    """Raises UserError where the scores table cannot have a column of this name."""
    if not name.isidentifier():
        raise UserError(
            f"--name {name}: a column's name is letters, digits and underscores, such as {such_as}"
        )
    if name in TAKEN or f"{name}_flops" in TAKEN or name.endswith("_flops"):
        raise UserError(
            f"--name {name}: the scores table has a column of that name already; write another, "
            f"such as {such_as}"
        )


def reward_pool(
    store: Store,
    model: Judge,
    flops: Flops,
    decode: Decode,
    name: str,
    over: Over = "text",
) -> int:
    """Score every stored answer that has no reward of this name; returns how many there were.

    The model reads the question and, as the response, the thinking up to the cut followed by the
    answer. decode: token ids of the run's model to text; flops: of the reward model.
    """
    asked = store.read("problems", ["question"])
    questions = dict(
        zip(asked["problem_id"].to_pylist(), asked["question"].to_pylist(), strict=True)
    )
    done = set(store.read("rewards", [], pc.field("name") == name)["key"].to_pylist())
    count, names = 0, list(questions)
    for start in range(0, len(names), BLOCK):
        block = names[start : start + BLOCK]
        chosen = pc.field("problem_id").isin(block) & ANSWERS
        todo = set(store.read("calls", [], chosen)["key"].to_pylist()) - done
        if not todo:
            continue
        calls = read_calls(store, block)
        keys, pairs = [], []
        for key in sorted(todo & calls.keys()):
            call = calls[key]
            kept = thinking_ids(calls, call)
            # Where the chain is its own answer, its text stands there once.
            thinking = decode(kept) if kept and call.kind != "own" else ""
            keys.append(key)
            pairs.append((questions[call.problem_id], f"{thinking}\n\n{call.text}".strip()))
        scored = model.score(pairs, over)
        costs = flops.score_flops(scored.tokens)
        rows = zip(keys, scored.value.tolist(), costs.tolist(), strict=True)
        store.append("rewards", [RewardRow(key, name, value, cost) for key, value, cost in rows])
        count += len(keys)
    store.compact("rewards")
    return count


def reward_columns(store: Store) -> pd.DataFrame | None:
    """The stored rewards, one row an answer: its key, and for each name a column of rewards and one
    of FLOPs.
    """
    rewards = store.read("rewards").to_pandas()
    if rewards.empty:
        return None
    wide: pd.DataFrame = rewards.pivot(index="key", columns="name", values=["reward", "flops"])
    labels: Any = wide.columns  # (what, name)
    wide.columns = [name if what == "reward" else f"{name}_flops" for what, name in labels]
    return wide.reset_index()

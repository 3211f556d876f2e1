"""Tree search over attempts against the library driven plainly, choice by choice, and what it
pays.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.drawn import PROMPT, Drawn, draw, whole
from tests.strategies.searched import STEP, Judge, Tree, said, text
from tests.tiny import EOS, FORM
from testtime.errors import UserError
from testtime.storage.calls import thinking_ids
from testtime.strategies.base import Strategy
from testtime.strategies.ledger import SampleLedger
from testtime.strategies.node import key_of
from testtime.strategies.registry import strategy
from testtime.strategies.tree import algorithm as library

pytest.importorskip("treequest")
NAMES = ["ab-mcts-a", "mcts", "best-first", "tree-of-thoughts"]
BUDGET = 12


def tree(algorithm: str = "ab-mcts-a", nodes: Sequence[int] = (1, 6), **options: Any) -> Strategy:
    told = {"prm": "judge", "budget": BUDGET, "prompt": "again", **options}
    return strategy("tree")(algorithm=algorithm, nodes=list(nodes), **told)


def drawn_by(chosen: Strategy, engine: Tree, judge: Judge, **options: Any) -> Drawn:
    told: dict[str, Any] = {"separators": ((STEP,),), "decode": text, **options}
    return draw(engine, chosen, scorer=judge, **told)


def steps(ids: Sequence[int]) -> list[str]:
    return [step.strip() for step in text(ids).split("\n\n") if step.strip()]


def plain(algorithm: str, nodes: int, seed: int, values: list[float]) -> list[int | None]:
    """The library stepped through plainly, each node's value read off a list: the nodes' parents.

    Its draws are the sample's own: of its root and the number of the node.
    """
    drawing = type("Drawn", (), {"form": FORM, "seed": seed, "model": "policy"})()
    ledger = SampleLedger(drawing, "p0", 0, {})
    root, parents = ledger.start(PROMPT), list[int | None]()

    def make(parent: int | None) -> tuple[int, float]:
        parents.append(parent)
        return len(parents) - 1, values[len(parents) - 1]

    search = library(algorithm)
    state = search.init_tree()
    for number in range(nodes):
        noise = ledger.generator(root, f"tree,{number}").integers(2**32)
        np.random.seed(int(noise))
        state = search.step(state, {"attempt": make})
    return parents


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(NAMES), st.integers(0, 10**6), st.integers(1, 8))
def test_nodes_refine_what_the_library_says_they_should(
    algorithm: str, seed: int, nodes: int
) -> None:
    engine, judge = Tree(), Judge()
    drawn = drawn_by(
        tree(algorithm, range(1, nodes + 1), select="majority"), engine, judge, seed=seed
    )
    calls, attempts = whole(drawn.calls), drawn.all
    answers = [answer for answer, _ in attempts[-1].answers]
    assert len(attempts) == len(answers) == nodes
    thought = [steps(thinking_ids(calls, calls[answer.key])) for answer in answers]
    values = [said(one) if one else 0.0 for one in thought]
    parents = plain(algorithm, nodes, seed, values)
    # A node's place names its prompt, which is the dialogue up to its parent's answer.
    turns: list[tuple[dict[str, str], ...]] = []
    roots = {key_of(seed, "p0", 0, PROMPT): ()}
    for answer, parent in zip(answers, parents, strict=True):
        before = () if parent is None else (*turns[parent], said_by(answers[parent].text))
        turns.append(before)
        call = calls[answer.key]
        while not call.parent.startswith("#"):
            call = calls[call.parent]
        roots.setdefault(call.parent[1:], before)
        assert len(roots[call.parent[1:]]) == len(before)
        assert (parent is None) == (call.parent[1:] == key_of(seed, "p0", 0, PROMPT))
    best = [max(values[:n]) for n in range(1, nodes + 1)]
    assert [attempt.value for attempt in attempts] == best


def said_by(answer: str) -> dict[str, str]:
    return {"role": "assistant", "content": answer}


def test_fewer_nodes_are_the_beginning_of_more() -> None:
    few = drawn_by(tree(nodes=[3]), Tree(), Judge(), seed=4)
    many = drawn_by(tree(nodes=[3, 9]), Tree(), Judge(), seed=4, stored=few.calls)
    assert many.all[0] == few.all[0]
    assert not {call.key for call in few.calls} & {call.key for call in many.calls}
    assert many.all[1].spent[: len(few.all[0].spent)] == few.all[0].spent
    assert many.all[1].path > few.all[0].path


@pytest.mark.parametrize("algorithm", NAMES)
def test_killed_at_every_request_it_replays_whatever_else_draws(algorithm: str) -> None:
    chosen, engine, judge = tree(algorithm), Tree(), Judge()
    undisturbed = drawn_by(chosen, engine, judge, samples=2)
    requests, scored = sum(map(len, engine.log.values())), sum(judge.asked.values())
    deaths = [(n, 1 << 30) for n in range(requests)] + [(1 << 30, n) for n in range(scored)]
    for number, (engine_left, judge_left) in enumerate(deaths):
        np.random.seed(number)
        first = drawn_by(chosen, Tree(engine_left), Judge(judge_left), samples=2)
        rest = drawn_by(chosen, Tree(), Judge(), samples=2, stored=first.calls)
        assert rest.attempts == undisturbed.attempts
        keys = [(call.key, call.start) for call in (*first.calls, *rest.calls)]
        assert sorted(keys) == sorted((call.key, call.start) for call in undisturbed.calls)
    again = drawn_by(chosen, Tree(0), Judge(0), samples=2, stored=undisturbed.calls)
    assert again.attempts == undisturbed.attempts and not again.calls


def test_the_global_generator_is_left_where_it_was() -> None:
    np.random.seed(7)
    expected = np.random.random(3)
    np.random.seed(7)
    drawn_by(tree(), Tree(), Judge())
    assert np.random.random(3).tolist() == expected.tolist()


def test_every_token_drawn_is_paid_and_prompts_are_read_once() -> None:
    for seed, algorithm in itertools.product(range(5), NAMES):
        engine, judge = Tree(), Judge()
        (attempt,) = drawn_by(tree(algorithm, [7]), engine, judge, seed=seed).all
        ours = [call for call in attempt.spent if call.model == "policy"]
        chains = [ids for (_, kind), made in engine.log.items() if kind != "answer" for ids in made]
        dropped = sum(ids[-1] == EOS for ids in chains)  # an end inside the thinking, as everywhere
        assert sum(call.drawn for call in ours) == engine.generated - dropped == attempt.path
        assert (ours[0].context, ours[0].fed) == (0, len(PROMPT))
        roots = [call for call in ours if call.context == 0]
        assert len(roots) <= 1 + sum(map(len, engine.log.values()))
        read = [call for call in attempt.spent if call.model == "prm"]
        assert not any(call.drawn for call in read)
        assert sum(not call.context for call in read) == 1  # the question


def test_a_verifier_that_fails_leaves_the_smaller_trees() -> None:
    drawn = drawn_by(tree(nodes=[1, 2, 30]), Tree(), Judge(left=4), seed=1)
    assert 1 <= len(drawn.all) < 3 and drawn.failures["p0", 0] == ["killed"]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "treequest.algos.ab_mcts_a.algo", None)
    with pytest.raises(UserError, match=r"install testtime\[tree\]"):
        library("ab-mcts-a")


def test_values_weigh_the_votes_where_they_are_asked_to() -> None:
    (attempt,) = drawn_by(tree(nodes=[5], select="weighted"), Tree(), Judge(), seed=2).all
    weights = [weight for _, weight in attempt.answers]
    assert len(weights) == 5 and max(weights) == attempt.value
    assert set(weights) != {1.0}

"""The searches against the same searches by brute force, choice by choice, and what they pay."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.drawn import PROMPT, Drawn, draw, whole
from tests.strategies.searched import STEP, Beam, Judge, Plain, Tree, text
from tests.tiny import CLOSE, FORM
from testtime.engines.base import Completion, Request
from testtime.models.delimiters import Format
from testtime.storage.calls import _behind
from testtime.storage.tables import CallRow
from testtime.strategies.base import Strategy
from testtime.strategies.ledger import SampleLedger
from testtime.strategies.registry import strategy

COMMON = {"prm": "judge", "max_steps": 5, "step_tokens": 6}
JOINS = st.sampled_from(["last", "min", "product", "mean"])
LOOKS = st.sampled_from([0, 0, 4, 9])


def search(name: str, **options: Any) -> Strategy:
    return strategy(name)(**{**COMMON, **options})


def drawn_by(chosen: Strategy, tree: Tree, judge: Judge, **options: Any) -> Drawn:
    told: dict[str, Any] = {"separators": (tree.step,), "decode": text, **options}
    return draw(tree, chosen, scorer=judge, **told)


def texts(drawn: Drawn, number: int = 0) -> list[tuple[int, ...]]:
    """The thinking that each answer of an attempt stands on."""
    calls = whole(drawn.calls)
    answers = [answer for answer, _ in drawn.all[number].answers]
    return [tuple(_behind(calls, calls[answer.key])) for answer in answers]


def check(drawn: Drawn, tree: Tree, judge: Judge, plain: Plain) -> None:
    """Every request that was made is one that the plain search makes, and is paid."""
    made = Counter({key: len(ids) for key, ids in tree.log.items() if key[1] != "answer"})
    assert made == +plain.read
    assert judge.asked == plain.asked
    (attempt,) = drawn.all
    ours = [call for call in attempt.spent if call.model == "policy"]
    assert sum(call.drawn for call in ours) == tree.generated - drawn.spent.discarded_tokens
    assert sum(call.fed for call in ours if not call.context) == 2  # the prompt, once


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), JOINS, LOOKS)
def test_stepwise_chooses_as_brute_force_does(seed: int, width: int, join: str, look: int) -> None:
    tree, judge = Tree(), Judge()
    chosen = search("stepwise", widths=[width], join=join, lookahead=look)
    drawn = drawn_by(chosen, tree, judge, seed=seed)
    plain = Plain(tree.log, look, join=join)
    beam = plain.stepwise(width)
    check(drawn, tree, judge, plain)
    (attempt,) = drawn.all
    assert texts(drawn) == [beam.ids]
    assert attempt.value == plain.score(beam) and attempt.forced == (beam.end != "natural")


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2), (6, 3)]),
    JOINS,
    LOOKS,
    st.sampled_from(["best", "weighted", "majority"]),
)
def test_beam_chooses_as_brute_force_does(
    seed: int, size: tuple[int, int], join: str, look: int, select: str
) -> None:
    tree, judge = Tree(), Judge()
    options = {"beams": [size[0]], "width": size[1], "join": join, "lookahead": look}
    drawn = drawn_by(search("beam", select=select, **options), tree, judge, seed=seed)
    plain = Plain(tree.log, look, join=join)
    beams = plain.beams(*size)
    check(drawn, tree, judge, plain)
    (attempt,) = drawn.all
    kept = beams[:1] if select == "best" else beams
    assert texts(drawn) == [beam.ids for beam in kept]
    weights = [plain.score(beam) if select == "weighted" else 1.0 for beam in kept]
    assert [weight for _, weight in attempt.answers] == weights
    assert attempt.value == plain.score(beams[0])


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 4, 7]),
    st.sampled_from(["multinomial", "systematic"]),
    JOINS,
    LOOKS,
    st.sampled_from(["best", "weighted", "majority"]),
)
def test_particles_choose_as_brute_force_does(
    seed: int, n: int, resampling: str, join: str, look: int, select: str
) -> None:
    tree, judge = Tree(), Judge()
    options = {"particles": [n], "resampling": resampling, "join": join, "lookahead": look}
    drawn = drawn_by(search("particles", select=select, **options), tree, judge, seed=seed)
    plain = Plain(tree.log, look, join=join)
    swarm, sizes = plain.particles(n, resampling == "systematic", lambda step: noise(seed, n, step))
    check(drawn, tree, judge, plain)
    (attempt,) = drawn.all
    votes = Counter[tuple[int, ...]]()
    for beam, weight in swarm:
        votes[beam.ids] += weight if select == "weighted" else 1.0  # type: ignore[assignment]
    best = max(plain.score(beam) for beam, _ in swarm)
    if select == "best":
        assert texts(drawn) == [next(b.ids for b, _ in swarm if plain.score(b) == best)]
    else:
        weights = [weight for _, weight in attempt.answers]
        assert dict(zip(texts(drawn), weights, strict=True)) == pytest.approx(votes)
    assert attempt.value == best and attempt.ess == pytest.approx(sum(sizes) / len(sizes))


def noise(seed: int, n: int, step: int) -> list[float]:
    """The uniform numbers that a filter of n particles draws anew by: of its sample and step."""
    drawing: Any = SimpleNamespace(form=FORM, seed=seed, model="policy")
    ledger = SampleLedger(drawing, "p0", 0, {})
    return ledger.generator(ledger.start(PROMPT), f"particles={n},{step}").random(n).tolist()


def test_copies_of_a_particle_go_on_independently_of_each_other() -> None:
    copied, differ = 0, 0
    for seed in range(40):
        tree = Tree()
        drawn_by(search("particles", particles=[4]), tree, Judge(), seed=seed)
        for (ids, kind), made in tree.log.items():
            if kind == "step" and ids and len(made) > 2:
                copied, differ = copied + 1, differ + (len(set(map(tuple, made))) > 1)
    assert copied > 20 and differ > 0.7 * copied


def test_the_cases_include_ties_early_ends_caps_and_steps_without_text() -> None:
    seen = Counter[str]()
    for seed in range(60):
        tree, judge = Tree(), Judge()
        drawn = drawn_by(search("stepwise", widths=[4]), tree, judge, seed=seed)
        plain = Plain(tree.log)
        made = plain.candidates([Beam()], 4)
        best = max(map(plain.score, made))
        seen["tie"] += sum(plain.score(beam) == best for beam in made) > 1
        seen["double"] += len(made) < 4
        seen["early"] += any(beam.end for beam in made)
        seen["capped"] += any(len(beam.ids) == 6 and not beam.end for beam in made)
        seen["blank"] += any(not beam.steps for beam in made)
        seen["forced"] += drawn.all[0].forced
    assert set(seen) == {"tie", "double", "early", "capped", "blank", "forced"}
    assert min(seen.values()) >= 5


SEARCHES = {
    "stepwise": {"widths": [1, 3]},
    "beam": {"beams": [2, 4], "width": 2},
    "ahead": {"widths": [2], "lookahead": 5},
    "particles": {"particles": [1, 4]},
}


def named(name: str) -> Strategy:
    return search("stepwise" if name == "ahead" else name, **SEARCHES[name])


@pytest.mark.parametrize("name", SEARCHES)
def test_killed_at_every_request_it_replays_to_identical_attempts(name: str) -> None:
    chosen, tree, judge = named(name), Tree(), Judge()
    undisturbed = drawn_by(chosen, tree, judge, samples=2)
    requests, scored = sum(map(len, tree.log.values())), sum(judge.asked.values())
    deaths = [(n, 1 << 30) for n in range(requests)] + [(1 << 30, n) for n in range(scored)]
    for engine_left, judge_left in deaths:
        first = drawn_by(chosen, Tree(engine_left), Judge(judge_left), samples=2)
        tree, judge = Tree(), Judge()
        rest = drawn_by(chosen, tree, judge, samples=2, stored=first.calls)
        assert rest.attempts == undisturbed.attempts
        keys = [(call.key, call.start) for call in (*first.calls, *rest.calls)]
        assert sorted(keys) == sorted((call.key, call.start) for call in undisturbed.calls)
        again = drawn_by(chosen, Tree(0), Judge(0), samples=2, stored=[*first.calls, *rest.calls])
        assert again.attempts == undisturbed.attempts and not again.calls


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(SEARCHES)),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 20)), max_size=4),
    st.integers(0, 10**6),
    st.sampled_from([(STEP,), (21, 21)]),
)
def test_what_the_engine_generated_is_what_is_stored_and_what_was_discarded(
    name: str, deaths: list[tuple[int, int]], seed: int, step: tuple[int, ...]
) -> None:
    calls, generated, discarded = list[CallRow](), 0, 0
    for left, judged in (*deaths, (1 << 30, 1 << 30)):
        tree = Tree(left, step)
        drawn = drawn_by(named(name), tree, Judge(judged), samples=2, seed=seed, stored=calls)
        calls += drawn.calls
        generated += tree.generated
        discarded += drawn.spent.discarded_tokens
    assert sum(call.tokens for call in calls) + discarded == generated
    assert len({(call.key, call.start) for call in calls}) == len(calls)


def test_a_wider_search_is_a_setting_of_its_own_and_leaves_the_others_alone() -> None:
    first = drawn_by(search("stepwise", widths=[2]), Tree(), Judge())
    both = drawn_by(search("stepwise", widths=[2, 4]), Tree(), Judge(), stored=first.calls)
    assert both.attempts["p0", 0][0] == first.attempts["p0", 0][0]
    assert not {call.key for call in first.calls} & {call.key for call in both.calls}


def test_the_verifier_reads_the_question_once_and_each_step_once() -> None:
    tree, judge = Tree(), Judge()
    (attempt,) = drawn_by(search("stepwise", widths=[3]), tree, judge, seed=5).all
    read = [call for call in attempt.spent if call.model == "prm"]
    assert (read[0].context, read[0].fed) == (0, 10)
    assert len(read) == 1 + sum(judge.asked.values())
    assert {call.fed for call in read[1:]} == {3} and not any(call.drawn for call in read)


def test_without_delimiters_the_text_of_the_path_is_the_answer() -> None:
    form = Format((), (), (50,), "so ")
    natural = 0
    for seed in range(20):
        tree, judge = Tree(), Judge()
        drawn = drawn_by(search("stepwise", widths=[2]), tree, judge, seed=seed, form=form)
        (attempt,) = drawn.all
        ((answer, _),) = attempt.answers
        natural += not attempt.forced
        if not attempt.forced:
            assert answer.tokens == 0 and answer.text == text(texts(drawn)[0])
        ours = [call for call in attempt.spent if call.model == "policy"]
        assert sum(call.drawn for call in ours) == tree.generated
    assert natural > 3 and CLOSE not in form.ending


class Scripted(Tree):
    """Draws one text, token by token, wherever it is asked to go on."""

    def __init__(self, text: list[int]) -> None:
        super().__init__()
        self.text = text

    async def complete(self, request: Request) -> Completion:
        assert request.prompt is not None
        start = len(request.prompt) - len(PROMPT)
        ids = self.text[start : start + request.max_tokens]
        return Completion(ids, "", "length", [-1.0] * len(ids), len(PROMPT))


def test_a_closing_delimiter_that_the_end_of_a_step_cuts_is_found() -> None:
    form = Format((1,), (2, 9), (2, 9), "")
    for before in (4, 5, 6, 7):  # steps of 6 tokens
        tree = Scripted([10] * before + [2, 9] + [11] * 60)
        (attempt,) = drawn_by(search("stepwise", widths=[1]), tree, Judge(), form=form).all
        assert not attempt.forced, before
        assert attempt.path == before + 2 + 5  # the answer takes 5

"""The contract: cutting a long chain at b gives what a run capped at b gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testtime.engines.base import Completion
from testtime.models.delimiters import Format
from testtime.strategies.base import Call, Chain
from testtime.strategies.budget import Cut, Thinking, cut, paid, read
from testtime.strategies.completions import ended
from testtime.strategies.node import Node

EOS = 9
ROOT = Node("#", None, (50, 51, 52))
FORMS = {
    "one token": Format((1,), (2,), (2,), ""),
    "three tokens": Format((1, 1), (2, 3, 2), (2, 3, 2, 5), ""),
    "none": Format((), (), (7, 8), "so"),
}


def chain(tape: list[int], stopped: bool, form: Format, before: tuple[int, ...] = ()) -> Thinking:
    done = Completion(tape, "", "stop" if stopped else "length", [], 0)
    ids, finish = ended(list(before), done, (form.close,) if form.close else ())
    return read(Chain(Node("c", ROOT, ids), finish), form)


def fresh(tape: list[int], cap: int, form: Format, before: tuple[int, ...] = ()) -> Thinking:
    """What an engine that would say `tape` gives under a cap: it stops at end-of-sequence or a
    one-token delimiter.
    """
    stops = {EOS, *(form.close if len(form.close) == 1 else ())}
    end = next((i + 1 for i, token in enumerate(tape[:cap]) if token in stops), None)
    return chain(tape[: cap if end is None else end], end is not None, form, before)


def ids(thinking: Thinking) -> list[int]:
    return list(thinking.node.kept)


tapes = st.lists(st.sampled_from([2, 3, 4, 5, EOS]), min_size=30, max_size=30)


@given(tapes, st.integers(1, 30), st.sampled_from(list(FORMS)))
def test_a_cut_chain_is_what_a_run_capped_there_draws(
    tape: list[int], budget: int, name: str
) -> None:
    form = FORMS[name]
    long, short = fresh(tape, 30, form), fresh(tape, budget, form)
    nested, capped = (cut(t.node.length, t.finish, budget) for t in (long, short))
    assert nested == capped and nested is not None
    assert ids(long)[: nested.tokens] == ids(short)[: nested.tokens]


@given(tapes, st.integers(1, 29), st.sampled_from(list(FORMS)))
def test_a_continued_chain_is_the_chain_drawn_at_once(
    tape: list[int], first: int, name: str
) -> None:
    form = FORMS[name]
    early, whole = fresh(tape, first, form), fresh(tape, 30, form)
    if early.finish == "length":
        onward = fresh(tape[first:], 30 - first, form, tuple(ids(early)))
        assert (ids(onward), onward.finish) == (ids(whole), whole.finish)


def test_the_closing_token_counts_and_a_chain_of_exactly_b_thinking_tokens_is_forced() -> None:
    closed = chain([4, 4, 4, 2], True, FORMS["one token"])
    assert (ids(closed), closed.finish) == ([4, 4, 4, 2], "natural")
    assert cut(4, "natural", 4) == Cut(4, forced=False)
    assert cut(4, "natural", 3) == Cut(3, forced=True)
    assert cut(4, "natural", 0) == Cut(0, forced=True)


def test_end_of_sequence_inside_the_thinking_is_dropped_and_forced_everywhere() -> None:
    ended = chain([4, 4, EOS], True, FORMS["one token"])
    assert (ids(ended), ended.finish) == ([4, 4], "eos")
    assert cut(2, "eos", 1) == Cut(1, forced=True)
    assert cut(2, "eos", 2) == cut(2, "eos", 99) == Cut(2, forced=True)


def test_without_delimiters_the_end_token_closes_the_chain_and_counts() -> None:
    ended = chain([4, 4, EOS], True, FORMS["none"])
    assert (ids(ended), ended.finish) == ([4, 4, EOS], "natural")
    assert cut(3, "natural", 3) == Cut(3, forced=False)
    assert cut(3, "natural", 2) == Cut(2, forced=True)


def test_what_follows_a_delimiter_of_several_tokens_is_dropped() -> None:
    closed = chain([4, 2, 3, 2, 5, 5], False, FORMS["three tokens"])
    assert (ids(closed), closed.finish) == ([4, 2, 3, 2], "natural")
    # It may begin in the stored part of a chain that is continued.
    closed = chain([2, 5], False, FORMS["three tokens"], (4, 2, 3))
    assert (ids(closed), closed.finish) == ([4, 2, 3, 2], "natural")


def test_a_chain_capped_below_the_budget_is_not_known_there() -> None:
    assert cut(8, "length", 8) == Cut(8, forced=True)
    assert cut(8, "length", 9) is None


def test_a_place_is_cut_through_what_was_drawn_and_what_was_fed() -> None:
    base = Node("a", ROOT, [1, 2, 3], [-1.0, -2.0, -3.0])
    place = Node("b", base.feed((20, 21)), [4, 5], [-4.0, -5.0]).feed((30,))
    line = [1, 2, 3, 20, 21, 4, 5, 30]
    assert place.length == 8 and place.context == [50, 51, 52, *line]
    for tokens in range(9):
        at = place.cut(tokens)
        assert at.context == [50, 51, 52, *line[:tokens]] and at.length == tokens
    assert place.cut(3).key == "a" and place.cut(4).fed == (20,)
    assert place.sampled_logprobs == [-1.0, -2.0, -3.0, -4.0, -5.0]
    assert place.first("own") == "a" and ROOT.first("own") == "own"


def test_what_is_paid_follows_the_calls_and_lets_an_uncut_chain_go_on() -> None:
    base = Node("a", ROOT, [1, 2, 3])
    assert paid(base, 5) == (Call(0, 3, 8),)
    assert paid(base.feed((9, 9)), 5) == (Call(0, 3, 3), Call(6, 2, 5))
    assert paid(ROOT.feed((9,)), 5) == (Call(0, 4, 5),)
    onward = Node("b", base.feed((20,)), [4, 4])
    assert paid(onward.feed((9,)), 5) == (Call(0, 3, 3), Call(6, 1, 2), Call(9, 1, 5))
    assert paid(base, 5, cached=2) == (Call(2, 1, 8),)

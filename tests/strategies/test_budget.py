"""The contract: cutting a long chain at b gives what a run capped at b gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testtime.models.delimiters import Format
from testtime.strategies.budget import Chain, Cut, cut, read, seed

EOS = 9
FORMS = {
    "one token": Format((1,), (2,), (2,), ""),
    "three tokens": Format((1, 1), (2, 3, 2), (2, 3, 2, 5), ""),
    "none": Format((), (), (7, 8), "so"),
}


def fresh(tape: list[int], cap: int, form: Format, before: tuple[int, ...] = ()) -> Chain:
    """What an engine that would say `tape` gives under a cap: it stops at end-of-sequence or a
    one-token delimiter.
    """
    stops = {EOS, *(form.close if len(form.close) == 1 else ())}
    end = next((i + 1 for i, token in enumerate(tape[:cap]) if token in stops), None)
    return read(tape[: cap if end is None else end], end is not None, form, before)


tapes = st.lists(st.sampled_from([2, 3, 4, 5, EOS]), min_size=30, max_size=30)


@given(tapes, st.integers(1, 30), st.sampled_from(list(FORMS)))
def test_a_cut_chain_is_what_a_run_capped_there_draws(
    tape: list[int], budget: int, name: str
) -> None:
    form = FORMS[name]
    long, short = fresh(tape, 30, form), fresh(tape, budget, form)
    nested, capped = (
        cut(len(long.token_ids), long.finish, budget),
        cut(len(short.token_ids), short.finish, budget),
    )
    assert nested == capped and nested is not None
    assert long.token_ids[: nested.tokens] == short.token_ids[: nested.tokens]


@given(tapes, st.integers(1, 29), st.sampled_from(list(FORMS)))
def test_a_continued_chain_is_the_chain_drawn_at_once(
    tape: list[int], first: int, name: str
) -> None:
    form = FORMS[name]
    early = fresh(tape, first, form)
    if early.finish == "length":
        assert fresh(tape[first:], 30 - first, form, tuple(early.token_ids)) == fresh(
            tape, 30, form
        )


def test_the_closing_token_counts_and_a_chain_of_exactly_b_thinking_tokens_is_forced() -> None:
    chain = read([4, 4, 4, 2], True, FORMS["one token"])
    assert chain == Chain([4, 4, 4, 2], "natural")
    assert cut(4, "natural", 4) == Cut(4, forced=False)
    assert cut(4, "natural", 3) == Cut(3, forced=True)
    assert cut(4, "natural", 0) == Cut(0, forced=True)


def test_end_of_sequence_inside_the_thinking_is_dropped_and_forced_everywhere() -> None:
    chain = read([4, 4, EOS], True, FORMS["one token"])
    assert chain == Chain([4, 4], "eos")
    assert cut(2, "eos", 1) == Cut(1, forced=True)
    assert cut(2, "eos", 2) == cut(2, "eos", 99) == Cut(2, forced=True)


def test_without_delimiters_the_end_token_closes_the_chain_and_counts() -> None:
    chain = read([4, 4, EOS], True, FORMS["none"])
    assert chain == Chain([4, 4, EOS], "natural")
    assert cut(3, "natural", 3) == Cut(3, forced=False)
    assert cut(3, "natural", 2) == Cut(2, forced=True)


def test_what_follows_a_delimiter_of_several_tokens_is_dropped() -> None:
    assert read([4, 2, 3, 2, 5, 5], False, FORMS["three tokens"]) == Chain([4, 2, 3, 2], "natural")
    # It may begin in the stored part of a chain that is continued.
    assert read([2, 5], False, FORMS["three tokens"], [4, 2, 3]) == Chain([4, 2, 3, 2], "natural")


def test_a_chain_capped_below_the_budget_is_not_known_there() -> None:
    assert cut(8, "length", 8) == Cut(8, forced=True)
    assert cut(8, "length", 9) is None


def test_seeds_are_63_bits_and_differ_by_every_part() -> None:
    parts = [0, "p", 1, "chain", 0, ""]
    seeds = {seed(*parts)}
    for i, other in enumerate([1, "q", 2, "answer", 5, "w"]):
        seeds.add(seed(*parts[:i], other, *parts[i + 1 :]))
    assert len(seeds) == 7 and all(0 <= s < 2**63 for s in seeds)
    assert seed("a", "b") != seed("ab", "")

"""The world of facts and what is made of it: true chains, disjoint data, masks, roles, steps and
their labels.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("transformers")

from benchmarks.laboratory import data, roles, sample, steps, tasks, vocabulary, world
from benchmarks.laboratory.agent_data import Attempt, Questions, made_up, written_down
from testtime import tasks as room
from testtime.zoo import facts

QUESTION = (0, (123, 45, 7))


def names(tokens: list[int]) -> str:
    return sample.text(tokens).replace(world.STEP, "|")


def test_facts_are_one_table() -> None:
    assert world.tables().shape == (world.FUNCTIONS, world.LETTERS)
    assert sorted(world.ranks()) == list(range(world.FUNCTIONS))
    assert world.frequencies().sum() == pytest.approx(1)
    assert np.argmax(world.frequencies()) == int(next(iter(facts.functions())))
    for f, x in [(0, 0), (123, 4), (999, 25)]:
        assert facts.lookup(f"{world.letter(x)} {f:03d}") == world.letter(int(world.tables()[f, x]))


@pytest.mark.parametrize("call", ["", "a", "a12", "1 123", "ab 123", "a 1234", "a 123; b"])
def test_lookup_of_nonsense(call: str) -> None:
    assert facts.lookup(call) == "?"


def test_questions_are_of_different_functions_by_frequency() -> None:
    starts, functions = world.draw(np.random.default_rng(0), 20_000, 3)
    assert starts.min() == 0 and starts.max() == 25
    assert all(len(set(row)) == 3 for row in functions[:500].tolist())
    first = np.bincount(functions[:, 0], minlength=world.FUNCTIONS) / len(functions)
    order = np.argsort(world.ranks())
    assert first[order[0]] > first[order[1]] > first[order[4]] > first[order[40]] > 0
    assert (functions[:, 0] < functions[:, 1]).mean() == pytest.approx(
        0.5, abs=0.02
    )  # no order of rank


def test_held_out_questions_are_never_trained_on() -> None:
    for hops in (2, 4, 9):
        for held_out in (False, True):
            starts, functions = data.questions(np.random.default_rng(1), 200, hops, held_out)
            found = {
                world.held_out(int(s), f) for s, f in zip(starts, functions.tolist(), strict=True)
            }
            assert found == {held_out}
    many = data.questions(np.random.default_rng(1), 4000, 2, None)
    share = np.mean(
        [world.held_out(int(s), f) for s, f in zip(many[0], many[1].tolist(), strict=True)]
    )
    assert share == pytest.approx(1 / 16, abs=0.015)


def test_chains_are_true_and_written_as_the_tokenizer_reads_them() -> None:
    tokenizer = vocabulary.build()
    groups = data.draw(np.random.default_rng(3), 300, 0.5, held_out=False)
    seen = 0
    for group in groups:
        for tokens, kinds in zip(group.tokens.tolist(), group.kinds.tolist(), strict=True):
            text = sample.text([t for t in tokens if t])
            head, _, rest = text.partition("<assistant><think>")
            question = head.removeprefix("<bos><user>")
            start, functions = (
                question[0],
                [int(question[i : i + 3]) for i in range(1, len(question) - 1, 3)],
            )
            right = world.steps(ord(start) - 97, functions)
            chain, _, answer = rest.partition("</think>")
            assert "".join(step + world.STEP for step in right).startswith(chain)
            assert answer == right[-1][-1] + "<eos>"
            turns = [{"role": "user", "content": world.question(ord(start) - 97, functions)}]
            asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            prompt = tokenizer(asked, add_special_tokens=False)["input_ids"]
            assert prompt == tokens[: len(prompt)] and not any(kinds[: len(prompt)])
            assert (
                tokenizer(rest, add_special_tokens=False)["input_ids"]
                == [t for t in tokens if t][len(prompt) :]
            )
            facts_ = [
                sample.text([t]) for t, kind in zip(tokens, kinds, strict=True) if kind == data.FACT
            ]
            assert facts_ == [step[-1] for step in right][: len(facts_)]
            whole = chain.count(world.STEP) == len(right)
            closed = tokens.index(vocabulary.ids()["</think>"])
            assert kinds[closed + 1] == (data.COPY if len(facts_) == len(right) else data.GUESS)
            seen += not whole
    assert seen > 50


def test_batches_go_on_where_they_were() -> None:
    first = list(itertools.islice(data.batches(1, 1024, 0.3), 12))
    later = next(data.batches(1, 1024, 0.3, start=11))
    assert np.array_equal(first[11].tokens, later.tokens) and np.array_equal(
        first[11].kinds, later.kinds
    )
    assert all(one.tokens.size <= 1024 for one in first)


def test_roles_word_for_word() -> None:
    a, b, c = (world.letter(x) for x in world.states(*QUESTION))
    solved = roles.solve(*QUESTION)
    head = "<bos><user>a123045007?<assistant><think>"
    chain = f"a123{a}|{a}045{b}|{b}007{c}|"
    assert names(solved.tokens) == f"{head}{chain}</think>{c}<eos>"
    cut = roles.solve(*QUESTION, kept=5)
    assert names(cut.tokens) == f"{head}a123{a}|{a}</think>{c}<eos>"
    learnt = [t for t, flag in zip(cut.tokens, cut.learnt, strict=True) if flag]
    assert names(learnt) == f"a123{a}|{a}{c}<eos>"  # not the closing
    attempt = solved.tokens[9:-1]
    asked = names(roles.verify(*QUESTION, attempt, False).tokens)
    assert asked == f"{head}{names(attempt)}<eos><user>verify<assistant><think></think>no<eos>"
    nothing = np.zeros(world.tables().shape, bool)
    revised = roles.revise(*QUESTION, attempt, nothing)
    assert names(revised.tokens).endswith(
        f"<eos><user>revise<assistant><think>{chain}</think>{c}<eos>"
    )
    checked = roles.check(*QUESTION, [*world.states(*QUESTION)[:2], (ord(c) - 96) % 26])
    told = f"a123{a}|yes{a}045{b}|yes{b}007{world.letter((ord(c) - 96) % 26)}|no"
    assert names(checked.tokens) == f"<bos><system>verify<user>a123045007?<assistant><think>{told}"
    assert sum(checked.learnt) == 3
    five = (0, (1, 2, 3, 4, 5))
    assert names(roles.split(*five).tokens).endswith(
        "<user>splita001002003004005?<assistant><think></think>a001002003?|#1004005?|<eos>"
    )
    assert "<user>joina001002003004005?:x:z<assistant><think></think>z" in names(
        roles.join(*five, [23, 25]).tokens
    )


def test_a_revision_mends_what_is_known_and_keeps_the_rest() -> None:
    start, functions = QUESTION
    a, b, _ = world.states(*QUESTION)
    x = (b + 1) % 26
    end = int(world.tables()[7, x])
    wrong = [
        *(f"a123{world.letter(a)}", f"{world.letter(a)}045{world.letter(x)}"),
        f"{world.letter(x)}007{world.letter(end)}",
    ]
    table = vocabulary.ids()
    attempt = [
        table[word] for step in wrong for word in (step[0], step[1:4], step[4], world.STEP)
    ] + [table["</think>"], table[world.letter(end)]]
    known = np.zeros(world.tables().shape, bool)

    def revised() -> str:
        text = names(roles.revise(start, functions, attempt, known).tokens)
        return text.partition("revise<assistant><think>")[2]

    assert revised() == f"{'|'.join(wrong)}|</think>{world.letter(end)}<eos>"
    known[45, a] = True
    right = "".join(step + "|" for step in world.steps(*QUESTION))
    assert revised().startswith(right)  # the last step asks for another fact than the attempt's


def test_the_tool_is_asked_for_what_is_rare_and_its_result_is_not_learnt() -> None:
    order = np.argsort(world.ranks()).tolist()
    common, rare = order[0], order[700]
    script = roles.solve(0, (common, rare), tool=True)
    x, y = (world.letter(s) for s in world.states(0, (common, rare)))
    call = f"<tool_call>{x}{rare:03d}</tool_call><tool_response>{y}</tool_response>"
    assert names(script.tokens).startswith("<bos><system>lookup<user>")
    assert f"a{common:03d}{x}|{call}{x}{rare:03d}{y}|" in names(script.tokens)
    silent = [t for t, flag in zip(script.tokens, script.learnt, strict=True) if not flag]
    assert names(silent).endswith(f"<think><tool_response>{y}</tool_response>")


def test_agent_is_never_shown_a_held_out_question() -> None:
    import random

    source, rng = Questions(np.random.default_rng(0)), random.Random(0)
    for kind in ("solve", "lookup", "lookup/even", "split/even", "join"):
        for _ in range(60):
            text = sample.text(written_down(kind, source, rng).tokens)
            question = (
                text.partition("<user>")[2]
                .removeprefix("split")
                .removeprefix("join")
                .partition("?")[0]
            )
            assert not world.held_out(
                ord(question[0]) - 97,
                [int(question[i : i + 3]) for i in range(1, len(question), 3)],
            )


def test_steps_are_good_until_the_first_mistake() -> None:
    tokens = roles.solve(*QUESTION).tokens[9:-1]
    assert steps.truth(*QUESTION, tokens) == (True, True, True)
    other = vocabulary.ids()["a"] if tokens[6] != vocabulary.ids()["a"] else vocabulary.ids()["b"]
    wrong = [*tokens[:6], other, *tokens[7:]]
    assert steps.truth(*QUESTION, wrong) == (True, False, False)
    one = Attempt(*QUESTION, tuple(wrong), "x", False, (True, False, False))
    shown, kinds = steps.example(one)
    text = vocabulary.build()(
        world.question(*QUESTION) + sample.text(wrong).partition("</think>")[0],
        add_special_tokens=False,
    )["input_ids"]
    assert shown == [vocabulary.ids()["<bos>"], *text]  # TRL's form: prompt and steps as plain text
    ends = [n for n, t in enumerate(shown) if t == vocabulary.ids()[world.STEP]]
    assert [kinds[n] for n in ends] == [steps.GOOD, steps.BAD, steps.BAD] and sum(
        k > 0 for k in kinds
    ) == 3


def test_made_up_attempts_are_labelled_by_the_truth() -> None:
    import random

    source, rng = Questions(np.random.default_rng(0)), random.Random(0)
    made = [made_up(source, rng) for _ in range(300)]
    for one in made:
        assert one.steps == steps.truth(one.start, one.functions, one.written)
        assert one.right == (one.answer == world.letter(world.states(one.start, one.functions)[-1]))
        assert sample.text(one.written).endswith(f"</think>{one.answer}")
    assert 0.35 < np.mean([all(one.steps) for one in made]) < 0.65


@pytest.mark.parametrize("name", list(tasks.LEVELS))
def test_the_packages_questions_are_held_out_and_right(name: str) -> None:
    problems = room.load(name).problems
    assert len(problems) == tasks.EACH * len(tasks.LEVELS[name])
    for problem in problems:
        start, functions = world.parse(problem.question)
        assert problem.gold == world.letter(world.states(start, functions)[-1])
        assert problem.meta["level"] == len(functions)
        assert problem.meta["rarest"] == max(world.ranks()[functions])
        assert len(functions) == 1 or world.held_out(start, functions)

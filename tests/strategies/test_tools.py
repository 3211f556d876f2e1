"""Thinking that calls tools, on an engine that writes known calls, and on the shipped agent."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.strategies.drawn import ANSWER_TOKENS, PROMPT, Drawn, draw, strategy
from tests.tiny import CLOSE, EOS, FORM
from testtime.engines.base import Completion, EngineError, Request
from testtime.errors import UserError
from testtime.models.delimiters import Format
from testtime.runs import prepare
from testtime.runs.draw import draw as draw_job
from testtime.runs.evaluate import evaluate
from testtime.runs.progress import Progress
from testtime.runs.show import show
from testtime.storage.calls import read_calls
from testtime.strategies.registry import parse
from testtime.strategies.tools import Tools
from testtime.tools.base import LONGEST

TEXTS = {10: "x", 11: "y", 20: "[", 21: "]", CLOSE: "", EOS: ""}
ENDING = 50  # of a model without delimiters
TOLD = 1  # tokens of the prompt that tells of the tools, in the tokenizer of `drawn`
ran: list[str] = []


def letters(ids: Sequence[int]) -> str:
    return "".join(TEXTS.get(token, "r") for token in ids)


class Caller:
    """Writes pieces of text one after the other, by how many calls it has made; answers are five
    tokens. left: requests until it dies.
    """

    name = "caller"
    max_num_seqs = 8

    def __init__(self, *pieces: Sequence[int], left: int = 1 << 30) -> None:
        self.pieces, self.left, self.generated = pieces, left, 0
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        await asyncio.sleep(0)
        self.left -= 1
        if self.left < 0:
            raise EngineError("killed")
        self.requests.append(request)
        assert request.prompt is not None
        if request.prompt[-1] in (CLOSE, ENDING):
            ids = [11] * ANSWER_TOKENS
        else:
            ids = self._thinking(request)
        self.generated += len(ids)
        return Completion(
            ids, "", "stop" if ids[-1] in (21, CLOSE, EOS) else "length", [], len(PROMPT)
        )

    def _thinking(self, request: Request) -> list[int]:
        calls = (request.prompt or ()).count(21)
        ids = list(
            itertools.islice(itertools.cycle(self.pieces[min(calls, len(self.pieces) - 1)]), 99)
        )
        stops = {EOS, *request.stop_token_ids}
        end = next((i + 1 for i, token in enumerate(ids) if token in stops), 99)
        return ids[: min(end, request.max_tokens)]

    async def close(self) -> None: ...


def tool(call: str) -> str:
    """What it gives differs each time."""
    ran.append(call)
    if call.startswith("y"):
        raise ValueError("no y")
    return "r" * len(ran)


def flood(call: str) -> str:
    return "z" * 10_000_000


def hang(call: str) -> str:
    time.sleep(2)
    return ""


def tools(function: str = "tool", **options: Any) -> Tools:
    chosen = strategy(
        "tools",
        **{
            "budgets": [0, 4, 16, 40],
            "turns": [0, 1, 3],
            "tools": [{"name": "own", "function": f"tests.strategies.test_tools:{function}"}],
            "dialect": {"call": ["[", "]"], "result": ["<", ">"]},
            **options,
        },
    )
    assert isinstance(chosen, Tools)
    return chosen


def drawn_by(engine: Any, chosen: Tools, **options: Any) -> Drawn:
    ran.clear()
    return draw(engine, chosen, separators=((21,),), decode=letters, **options)


def by_cell(drawn: Drawn, sample: int = 0) -> dict[tuple[int, int], Any]:
    attempts = drawn.attempts["p0", sample]
    return {(a.amounts["budget"], a.amounts["turn"]): a for a in attempts}


CALL = [10, 20, 10, 21]  # x[x]
TWICE = (CALL, [20, 11, 21], [10, CLOSE])  # calls, fails once, closes


def test_a_result_is_read_and_paid_and_a_call_beyond_the_turns_is_not_run() -> None:
    cells = by_cell(drawn_by(Caller(*TWICE), tools()))
    assert set(cells) == {(b, t) for b in (0, 4, 16, 40) for t in (0, 1, 3)}
    assert ran == ["x", "y"]
    last = cells[40, 3]
    used = [call for call in last.spent if call.model == "tool"]
    assert [call.failed for call in used] == [False, True] and all(c.seconds > 0 for c in used)
    # x[x] <r> [y] <ValueError: no y> x, closed: three stretches of thinking, and the answer.
    ours = [call for call in last.spent if call.model == "policy"]
    assert [call.drawn for call in ours] == [4, 3, 2 + ANSWER_TOKENS]
    assert [call.fed for call in ours] == [TOLD + 1, 3, 2 + len("ValueError: no y")]
    assert [call.context for call in ours] == [0, 2 + 4, 2 + 4 + 3 + 3] and not last.forced
    one = cells[40, 1]  # the second call stands there, unanswered
    assert one.forced and [c.drawn for c in one.spent] == [4, 3, ANSWER_TOKENS, 0]
    assert sum(call.model == "tool" for call in cells[16, 3].spent) == 2
    assert not [call for b in (0, 4) for call in cells[b, 3].spent if call.model == "tool"]


def test_without_turns_it_is_the_nested_chain() -> None:
    nested = draw(Caller(*TWICE), strategy(budgets=[0, 4, 16, 40]), decode=letters)
    both = drawn_by(Caller(*TWICE), tools(), stored=nested.calls)
    assert [a.answers for a in nested.all] == [by_cell(both)[b, 0].answers for b in (0, 4, 16, 40)]
    assert not {call.key for call in nested.calls} & {call.key for call in both.calls}


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_every_cell_is_what_a_run_of_that_cell_alone_draws(turns: int) -> None:
    whole = by_cell(drawn_by(Caller(*TWICE), tools(turns=[0, 1, 2, 3])))
    for budget in (0, 3, 4, 5, 6, 7, 9, 12, 16):
        alone = by_cell(drawn_by(Caller(*TWICE), tools(turns=[turns], budgets=[budget])))
        several = by_cell(drawn_by(Caller(*TWICE), tools(turns=[1, 2, 3], budgets=[budget, 40])))
        one, other = alone[budget, turns], several[budget, turns]
        assert [(c.context, c.fed, c.drawn) for c in one.spent] == [
            (c.context, c.fed, c.drawn) for c in other.spent
        ]
        assert one.forced == other.forced and one.path == other.path
        assert whole[40, turns].forced == (turns < 2)


@pytest.mark.parametrize("death", range(12))
def test_killed_at_every_request_it_replays_without_running_a_stored_call_again(death: int) -> None:
    whole = drawn_by(Caller(*TWICE), tools(), samples=2)
    requests = len(whole.of("think")) + len(whole.of("answer"))
    assert death < requests
    partial = drawn_by(Caller(*TWICE, left=death), tools(), samples=2)
    stored = len(partial.of("tool"))
    rest = drawn_by(Caller(*TWICE), tools(), samples=2, stored=partial.calls)
    assert len(ran) == len(whole.of("tool")) - stored
    # What a tool gave first is what stands in the attempts, though it would give another thing now.
    again = drawn_by(Caller(left=0), tools(), samples=2, stored=[*partial.calls, *rest.calls])
    assert not again.calls and not ran and again.attempts == rest.attempts


def test_distinct_calls_and_what_was_discarded_are_what_the_engine_generated() -> None:
    engine = Caller(*TWICE)
    drawn = drawn_by(engine, tools(), samples=3)
    kept = sum(call.tokens for call in drawn.calls)
    assert kept + drawn.spent.discarded_tokens == engine.generated
    assert len({call.key for call in drawn.calls}) == len(drawn.calls)


@pytest.mark.parametrize("function", ["tool", "flood"])
def test_endless_calls_and_endless_results_stay_within_every_budget(function: str) -> None:
    engine = Caller(CALL)
    chosen = tools(function, turns=[0, 100], result_tokens=7)
    drawn = drawn_by(engine, chosen)
    for (budget, _), attempt in by_cell(drawn).items():
        assert sum(call.drawn for call in attempt.spent) <= budget + ANSWER_TOKENS
    longest = len(PROMPT) + 40 + len(FORM.ending)
    assert max(len(r.prompt or ()) for r in engine.requests) <= longest
    for call in drawn.of("tool"):
        assert len(call.text) < LONGEST + 100 and (function == "tool" or "[cut: " in call.text)
    fed = [call.fed for call in drawn.of("think") if call.fed]
    assert max(map(len, fed)) <= 7 + len(" [cut]") + 2


def test_a_tool_that_hangs_makes_what_needs_it_missing_and_nothing_else() -> None:
    drawn = drawn_by(Caller(*TWICE), tools("hang", seconds=0.05))
    assert set(by_cell(drawn)) == {
        *((b, 0) for b in (0, 4, 16, 40)),
        *((b, t) for b in (0, 4) for t in (1, 3)),
    }
    assert drawn.failures["p0", 0] == ["tool own: no result after 0.05 s"]
    assert not drawn.of("tool")  # so it is tried again


def test_calls_that_cannot_be_read_are_explained_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = tools(tools=["calculator", "python"], turns=[2], budgets=[200])
    said = {10: '{"name": "clock", "arguments": {}}'}
    monkeypatch.setattr("tests.strategies.test_tools.TEXTS", {**TEXTS, **said})
    drawn = drawn_by(Caller([20, 10, 21], [20, 11, 21], [11, CLOSE]), chosen)
    texts = [call.text for call in drawn.of("tool")]
    assert texts == [
        "error: no tool 'clock'; there is calculator, python",
        'error: no call; write {"name": ..., "arguments": ...}',
    ]
    assert [call.failed for call in by_cell(drawn)[200, 2].spent[-2:]] == [True, True]


def test_a_tool_is_told_the_earlier_calls_that_left_their_state() -> None:
    seen: list[list[str]] = []

    async def spied(tool: Any, call: str, before: Sequence[str], seconds: float) -> Any:
        seen.append(list(before))
        from testtime.tools.base import Result

        return Result("r", "ended" if len(seen) == 1 else "failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("testtime.tools.base.run", spied)
        drawn_by(Caller([20, 10, 21], [20, 11, 21], [20, 10, 10, 21], [CLOSE]), tools())
    assert seen == [[], [], ["y"]]


def test_a_call_whose_closing_is_no_single_token_ends_where_its_text_does() -> None:
    # Several tokens close it here, so the engine runs on; what it wrote beyond is not kept.
    engine = Caller([10, 20, 10, 21, 21, 11, 11, 11], [10, CLOSE])
    chosen = tools(dialect={"call": ["[", "]]"], "result": ["<", ">"]}, turns=[1])
    drawn = draw(engine, chosen, separators=((21, 21),), decode=letters)
    assert [c.drawn for c in by_cell(drawn)[40, 1].spent] == [5, 2 + ANSWER_TOKENS, 0]


def test_a_model_without_delimiters_ends_with_its_text() -> None:
    drawn = drawn_by(
        Caller(CALL, [10, EOS]), tools(turns=[1]), form=Format((), (), (ENDING,), "so ")
    )
    assert by_cell(drawn)[40, 1].answers[0][0].text == "x[x]rrrx"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tools": ["calculator", "calculator"]}, "thinking.tools: names 'calculator' twice"),
        ({"tools": ["calculater"]}, "thinking.tools.0: there is no tool 'calculater'"),
        ({"tools": "python", "dialect": "fences"}, "did you mean 'fence'"),
        ({"tools": []}, "thinking.tools"),
        ({"turns": [1, 1]}, "thinking.turns: names a number twice"),
        ({"tools": {"name": "search"}}, "search: corpus: field required"),
    ],
)
def test_mistakes_in_a_config_are_one_line(options: dict[str, Any], error: str) -> None:
    thinking = {"strategy": "tools", "budgets": [4], "tools": ["calculator"], **options}
    with pytest.raises(UserError, match=error):
        parse({"name": "t", "task": "facts", "model": "agent", "thinking": thinking})


def agent(tmp_path: Path, **options: Any) -> Any:
    lookup = {"name": "lookup", "function": "testtime.zoo.facts:lookup"}
    hard = {"rarest": {"min": 300}, "level": {"min": 2, "max": 3}}
    thinking = {"strategy": "tools", "budgets": [0, 48], "turns": [0, 3], "tools": lookup}
    return parse(
        {
            "name": "agent",
            "task": {"name": "facts", "limit": 4, "overrides": {"where": hard}},
            "model": "agent",
            "engine": "transformers",
            "thinking": {**thinking, "dialect": "tags", "system": "lookup", **options},
            "answer": {"max_tokens": 4},
            "samples": 4,
            "resamples": 100,
            "rates": {"prefill": 1000, "decode": 100, "concurrency": 2},
            "out": str(tmp_path),
        }
    )


def test_the_shipped_agent_looks_facts_up_and_a_complete_run_runs_no_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = agent(tmp_path)
    job = prepare.prepare(config, config.model[0], prepare.load_problems(config))
    prepare.register(job)
    assert draw_job(job, Progress()) == []
    run = evaluate(job.store, Progress())
    cells = run.cells[(run.cells["budget"] == 48) & (run.cells["n"] == 1)].set_index("setting")
    alone, helped = cells.loc["turn=0"].iloc[0], cells.loc["turn=3"].iloc[0]
    assert helped["value"] > alone["value"] and helped["tool_calls"] > 0.5
    assert alone["tool_calls"] == 0 == alone["tool_seconds"] < helped["tool_seconds"]
    scores = run.scores.set_index(["problem_id", "setting", "budget", "sample"])
    engine = scores["path_tokens"] * 2 / 100 + scores["tool_seconds"]
    assert (scores["path_seconds"] - engine).abs().max() < 1e-6
    assert helped["latency_seconds"] > 0 and (cells["latency_seconds"] > 0).all()
    calls = read_calls(job.store, run.manifest.problems)
    used = [call for call in calls.values() if call.kind == "tool"]
    assert used and all(call.model == "lookup" and len(call.text) == 1 for call in used)
    told = show(run.path, used[0].problem_id, [used[0].sample])
    assert "<tool_call>" in told and f"<tool_response>{used[0].text}</tool_response>" in told
    assert "[lookup, ok, " in told
    monkeypatch.setattr("testtime.tools.base.run", None)  # nothing may be run any more
    more = agent(tmp_path, budgets=[0, 24, 48])
    again = prepare.prepare(more, more.model[0], prepare.load_problems(more))
    prepare.register(again)
    assert draw_job(again, Progress()) == []


def test_another_corpus_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("One apple.")

    def job() -> prepare.Job:
        config = agent(tmp_path, tools={"name": "search", "corpus": str(corpus)})
        return prepare.prepare(config, config.model[0], prepare.load_problems(config))

    prepare.register(job())
    corpus.write_text("Two apples.")
    from testtime.tools.search import _index

    _index.cache_clear()
    with pytest.raises(UserError, match=r"another thinking\.tools\.search"):
        job()

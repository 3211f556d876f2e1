"""Tools by a chat server's messages: by an engine that says known messages, and by HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.engines.server import Server, one_in_five
from tests.strategies.drawn import ANSWER_TOKENS, Drawn, draw, strategy
from tests.tiny import evaluated
from testtime.engines.base import Completion, ContextError, EngineError, Request
from testtime.errors import UserError
from testtime.models.delimiters import UNSEEN
from testtime.runs import show as shows
from testtime.strategies.dialogue import MOST
from testtime.strategies.registry import parse
from testtime.strategies.tools import Tools

ran: list[str] = []
READ = 10  # tokens of the question; a result counts its letters
EACH = 6  # tokens of a message


def noted(call: str) -> str:
    """What it gives differs each time."""
    ran.append(call)
    return "r" * len(ran)


def flood(call: str) -> str:
    return "z" * 10_000_000


def calls(*given: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {"id": f"{i}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(given)
    ]


ONE = calls(("noted", '{"input": "x"}'))


class Talker:
    """Says one list of calls after the other, then answers, or calls on where it has one left;
    left: requests until it dies.
    """

    name = "talker"
    max_num_seqs = 8

    def __init__(
        self, *said: list[dict[str, Any]], left: int = 1 << 30, endless: bool = False
    ) -> None:
        self.said, self.left, self.endless = said, left, endless
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Completion:
        self.left -= 1
        if self.left < 0:
            raise EngineError("killed")
        self.requests.append(request)
        turns = request.messages or ()
        made = sum(turn["role"] == "assistant" for turn in turns)
        tokens = min(EACH, request.max_tokens)
        read = READ + EACH * made + sum(len(t["content"]) for t in turns if t["role"] == "tool")
        message = None
        if request.tools and request.may_call and (self.endless or made < len(self.said)):
            said = self.said[min(made, len(self.said) - 1)]
            message = {"role": "assistant", "content": "so", "tool_calls": said}
        counts = (tokens, 0) if message else (tokens - 1, 1)
        return Completion([], f"after {made}", "stop", [], read, 0, counts, message=message)

    async def close(self) -> None: ...


def tools(function: str = "noted", **options: Any) -> Tools:
    own = {"name": "noted", "function": f"tests.strategies.test_dialogue:{function}"}
    told = {"budgets": [100], "turns": [0, 1, 3], "tools": [own], "dialect": "chat"}
    chosen = strategy("tools", **{**told, **options})
    assert isinstance(chosen, Tools)
    return chosen


def drawn_by(engine: Any, chosen: Tools | None = None, **options: Any) -> Drawn:
    ran.clear()
    unseen: dict[str, Any] = {"form": UNSEEN, "prompt": (), "render": lambda turns: ()}
    return draw(engine, chosen or tools(), **unseen, **options)


def by_turn(drawn: Drawn) -> dict[int, Any]:
    return {attempt.amounts["turn"]: attempt for attempt in drawn.attempts["p0", 0]}


def test_turns_are_nested_and_behind_the_last_it_may_call_no_more() -> None:
    engine = Talker(ONE, ONE)
    cells = by_turn(drawn_by(engine))
    assert {t: a.answers[0][0].text for t, a in cells.items()} == {
        0: "after 0",
        1: "after 1",
        3: "after 2",
    }
    assert {t: a.forced for t, a in cells.items()} == {0: False, 1: True, 3: False}
    assert [bool(r.tools) for r in engine.requests].count(False) == 1 and ran == ["x", "x"]
    last = [request for request in engine.requests if not request.may_call]
    assert len(last) == 1 and len(last[0].messages or ()) == 3  # question, call, result
    ours = [call for call in cells[3].spent if call.model == "policy"]
    assert [call.drawn for call in ours] == [EACH] * 3
    assert [call.fed for call in ours] == [READ, 1, 2]  # the results "r" and "rr"
    assert [call.context for call in ours] == [0, READ + EACH, READ + 2 * EACH + 1]
    assert sum(call.model == "tool" for call in cells[3].spent) == 2
    assert cells[3].path == 3 * EACH


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_every_cell_is_what_a_run_of_that_cell_alone_draws(turns: int) -> None:
    both = by_turn(drawn_by(Talker(ONE, ONE), tools(turns=[0, 1, 2, 3])))[turns]
    alone = by_turn(drawn_by(Talker(ONE, ONE), tools(turns=[turns])))[turns]
    assert (alone.answers, alone.path, alone.forced) == (both.answers, both.path, both.forced)


def test_several_calls_of_a_message_are_run_in_order_and_mistakes_are_told() -> None:
    given = calls(
        ("noted", '{"input": "x"}'),
        ("noted", '{"input": "x"}'),
        ("noted", '{"input": '),
        ("clock", "{}"),
        ("noted", '{"a": "1", "b": 2}'),
        ("noted", "[1]"),
    )
    engine = Talker(given)
    attempt = by_turn(drawn_by(engine))[3]
    heard = [t for t in engine.requests[-1].messages or () if t["role"] == "tool"]
    assert [turn["tool_call_id"] for turn in heard] == list("012345")
    wrong = 'error: the arguments are not a JSON object; write {"input": "..."}'
    assert [turn["content"] for turn in heard] == [
        "r",
        "rr",
        wrong,
        "error: no tool 'clock'; there is noted",
        "rrr",
        wrong,
    ]
    assert ran == ["x", "x", '{"a": "1", "b": 2}']
    used = [call for call in attempt.spent if call.model == "tool"]
    assert [call.failed for call in used] == [False, False, True, True, False, True]
    again = next(t for t in engine.requests[-1].messages or () if t["role"] == "assistant")
    for call in again["tool_calls"]:  # a server would refuse what is no JSON object
        assert isinstance(json.loads(call["function"]["arguments"]), dict)


def test_too_many_calls_at_once_are_not_run() -> None:
    drawn = drawn_by(Talker(calls(*[("noted", '{"input": "x"}')] * (MOST + 2))))
    assert len(ran) == MOST
    used = [call for call in by_turn(drawn)[3].spent if call.model == "tool"]
    assert len(used) == MOST + 2 and sum(call.failed for call in used) == 2


@pytest.mark.parametrize("budget", [0, 1, 7, 13, 40])
def test_whoever_calls_forever_stays_within_the_budget(budget: int) -> None:
    engine = Talker(ONE, endless=True)
    chosen = tools("flood", budgets=[budget], turns=[0, 2, 100], result_tokens=1)
    drawn = drawn_by(engine, chosen)
    for attempt in by_turn(drawn).values():
        assert sum(call.drawn for call in attempt.spent) <= budget + ANSWER_TOKENS
    assert set(by_turn(drawn)) == {0, 2, 100}
    heard = {t["content"] for r in engine.requests for t in r.messages or () if t["role"] == "tool"}
    assert heard <= {"zzzz [cut]", " [cut]"}


@pytest.mark.parametrize("budget", [7, 26, 400])
def test_results_fill_no_more_than_the_budget_has_left(budget: int) -> None:
    many = calls(*[("noted", '{"input": "x"}')] * 4)
    engine = Talker(many)
    drawn_by(engine, tools("flood", budgets=[budget], turns=[1], result_tokens=50))
    heard = [t["content"] for t in engine.requests[-1].messages or () if t["role"] == "tool"]
    assert len(heard) == 4 and all(text.endswith(" [cut]") for text in heard)
    letters = [len(text.removesuffix(" [cut]")) for text in heard]
    assert max(letters) <= 4 * 50 and sum(letters) <= 4 * max(0, budget - EACH)
    assert sum(letters) == (4 * 4 * 50 if budget == 400 else letters[0])


def test_a_full_context_leaves_no_answer_and_is_no_failure() -> None:
    class Full(Talker):
        async def complete(self, request: Request) -> Completion:
            if sum(turn["role"] == "tool" for turn in request.messages or ()) > 1:
                raise ContextError("maximum context length is 32 tokens")
            return await super().complete(request)

    drawn = drawn_by(Full(ONE, ONE, ONE), tools(turns=[0, 1, 3]))
    cells = by_turn(drawn)
    said = {turn: attempt.answers[0][0].text for turn, attempt in cells.items()}
    assert said == {0: "after 0", 1: "after 1", 3: ""}
    assert not drawn.failures["p0", 0] and cells[3].path == 2 * EACH  # of the two that fitted
    last = next(call for call in drawn.of("told") if not call.text)
    assert (last.finish, last.tokens) == ("length", 0)  # truncated, and unparsed: not right
    again = drawn_by(Talker(left=0), tools(turns=[0, 1, 3]), stored=drawn.calls)
    assert again.attempts == drawn.attempts and not again.calls


def test_a_question_that_does_not_fit_is_missing() -> None:
    class Small(Talker):
        async def complete(self, request: Request) -> Completion:
            raise ContextError("maximum context length is 4 tokens")

    drawn = drawn_by(Small(), tools(turns=[1]))
    assert not drawn.attempts["p0", 0]
    assert drawn.failures["p0", 0] == ["maximum context length is 4 tokens"]


@pytest.mark.parametrize("death", range(8))
def test_killed_at_every_request_it_replays_without_running_a_stored_call_again(death: int) -> None:
    whole = drawn_by(Talker(ONE, ONE), samples=2)
    assert death < len(whole.of("told")) + len(whole.of("turn"))
    partial = drawn_by(Talker(ONE, ONE, left=death), samples=2)
    rest = drawn_by(Talker(ONE, ONE), samples=2, stored=partial.calls)
    assert len(ran) == len(whole.of("tool")) - len(partial.of("tool"))
    again = drawn_by(Talker(left=0), samples=2, stored=[*partial.calls, *rest.calls])
    assert not again.calls and not ran and again.attempts == rest.attempts


def test_without_turns_it_stands_on_what_native_drew() -> None:
    first = drawn_by(Talker(ONE), strategy("native", budgets=[100]))  # type: ignore[arg-type]
    both = drawn_by(Talker(ONE), stored=first.calls)
    assert by_turn(both)[0].answers == first.all[0].answers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"dialect": "fence"}, "thinking.dialect: a chat server has its own; write chat"),
        ({"budgets": [1, 2]}, "thinking.budgets: a chat server cannot be held to a budget"),
        ({"family": "think"}, "thinking.family: with strategy tools"),
    ],
)
def test_what_a_chat_server_cannot_do_is_one_line(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(UserError, match=error):
        parse(config("http://127.0.0.1:9", Path("x"), **changes))


def test_the_dialect_of_servers_is_refused_elsewhere() -> None:
    told = {**config("http://127.0.0.1:9", Path("x")), "engine": "vllm"}
    with pytest.raises(UserError, match=r"write engine\.args\.api: chat, or another dialect \(f"):
        parse(told)


def config(url: str, out: Path, **thinking: Any) -> dict[str, Any]:
    strategy = {"strategy": "tools", "dialect": "chat", "budgets": [200], "turns": [0, 1, 3]}
    return {
        "name": "called",
        "task": {"name": "chain_sum", "limit": 4},
        "model": "thinker",
        "engine": {"name": "endpoint", "args": {"urls": url, "api": "chat", "timeout": 5.0}},
        "thinking": {**strategy, "tools": ["calculator"], **thinking},
        "answer": {"max_tokens": 20},
        "samples": 2,
        "resamples": 200,
        "price": {"input": 1.0, "output": 2.0},
        "rates": {"prefill": 1000, "decode": 100, "concurrency": 2},
        "out": str(out),
    }


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """Has the sum computed where it may, and says what it was told."""
    turns = body["messages"]
    results = [turn for turn in turns if turn["role"] == "tool"]
    asks = body.get("tool_choice") == "auto" and not results
    message: dict[str, Any] = {"content": results[-1]["content"] if results else "no idea"}
    if asks:
        given = json.dumps({"expression": turns[-1]["content"]})
        told = calls(("calculator", given))[0]
        message = {"content": None, "reasoning": "a tool!", "tool_calls": [told]}
    usage = {"prompt_tokens": 10 + 20 * len(results), "completion_tokens": 9}
    finish = "tool_calls" if asks else "stop"
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("httpx")
    made = Server(fault=one_in_five(), answer=answer)
    made.models = ["thinker"]
    yield made
    made.stop()


def bodies(server: Server, choice: str | None) -> Sequence[dict[str, Any]]:
    return [body for body, _ in server.requests if body.get("tool_choice") == choice]


def test_a_server_s_calls_are_run_counted_priced_and_shown(server: Server, tmp_path: Path) -> None:
    (run,) = evaluated(config(server.url, tmp_path))
    by = run.scores.groupby("setting")
    assert by["score"].mean().to_dict() == {"turn=0": 0.0, "turn=1": 1.0, "turn=3": 1.0}
    assert by["tool_calls"].mean().to_dict() == {"turn=0": 0.0, "turn=1": 1.0, "turn=3": 1.0}
    one = run.scores[run.scores["setting"] == "turn=3"]
    assert one["budget"].isna().all() and (one["tool_seconds"] > 0).all()
    assert one["prompt_tokens"].eq(10).all() and one["forced_tokens"].eq(11).all()
    assert one["context_tokens"].eq(19).all() and one["path_tokens"].eq(18).all()
    assert (one["usd"] - (21 + 19 + 2 * 18) / 1e6).abs().max() < 1e-9
    assert (one["path_seconds"] - 18 * 2 / 100 - one["tool_seconds"]).abs().max() < 1e-6
    assert {"tools", "tool_choice"} & set(bodies(server, None)[0]) == set()
    (offered,) = bodies(server, "auto")[0]["tools"]
    assert offered["function"]["parameters"]["required"] == ["expression"]
    again = next(m for m in bodies(server, "none")[0]["messages"] if m["role"] == "assistant")
    assert again["reasoning"] == "a tool!" and again["tool_calls"]
    told = shows.show(run.path, run.manifest.problems[0], [0])
    assert 'calculator({"expression": ' in told and "[calculator, ok, " in told
    assert "a tool!" in told and "turn=3" in told
    asked = len(server.requests)
    evaluated(config(server.url, tmp_path))
    assert len(server.requests) == asked

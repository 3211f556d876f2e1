"""What goes over the wire: requests and replies of the two OpenAI APIs.

`completions` takes token ids and gives them back, which nested budgets stand on. Every sampling
parameter is sent: a server would fill in its own from the model's `generation_config`. `chat` takes
messages and gives text with its own token counts; parameters outside OpenAI's API are sent only
where they say something, since hosted servers refuse what they do not know.

A reply is whatever a stranger sends, so it is read by a strict model: types, ranges, finite numbers
and valid Unicode. One that breaks the model or contradicts itself is that request's failure
(ValueError), and the request is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from testtime.engines.base import Completion, Request, Sampling
from testtime.errors import UserError

_OURS = ("top_k", "min_p", "repetition_penalty")  # not OpenAI's
Count = Annotated[int, Field(ge=0, lt=2**31)]
LogProb = Annotated[float, Field(le=1e-3, allow_inf_nan=False)]  # rounding may lift 0 a little


class _Read(BaseModel):
    """Part of a reply: further keys are none of our business, those we read must be right."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Cached(_Read):
    cached_tokens: Count | None = None


class _Reasoned(_Read):
    reasoning_tokens: Count | None = None


class _Usage(_Read):
    prompt_tokens: Count
    completion_tokens: Count
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoned | None = None

    @property
    def cached(self) -> int:
        told = self.prompt_tokens_details and self.prompt_tokens_details.cached_tokens
        return min(told or 0, self.prompt_tokens)


class _ChatUsage(_Usage):
    prompt_tokens: Count = 0  # optillm counts none; a chat prompt is never empty


class _LogProbs(_Read):
    token_logprobs: list[LogProb] | None = None


class _Drawn(_Read):
    text: str
    finish_reason: Literal["stop", "length"]
    token_ids: list[Count] | None = None
    logprobs: _LogProbs | None = None


class _Function(_Read):
    name: str
    arguments: str = ""


class _Called(_Read):
    id: str
    type: Literal["function"] = "function"
    function: _Function


class _Message(_Read):
    role: Literal["assistant"] = "assistant"
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Called] | None = None


class _Said(_Read):
    message: _Message
    finish_reason: Literal["stop", "length", "tool_calls"]


class _Completions(_Read):
    choices: list[_Drawn] = Field(min_length=1)
    usage: _Usage


class _Chat(_Read):
    choices: list[_Said] = Field(min_length=1)
    usage: _ChatUsage


class _Model(_Read):
    id: str


class _Models(_Read):
    data: list[_Model]


@dataclass(frozen=True)
class Wire:
    """One API: its path under the base URL, a request's body (None: left out), and the completion
    in a reply's bytes (None: it holds no token ids).
    """

    path: str
    body: Callable[[Request], dict[str, Any]]
    read: Callable[[bytes, Request], Completion | None]


def model_names(reply: bytes) -> list[str]:
    """The models a server lists. Raises ValueError for anything but such a list."""
    try:
        return [model.id for model in _Models.model_validate_json(reply).data]
    except ValidationError as error:
        raise ValueError(_first(error)) from None


def _seed(request: Request) -> int | None:
    return request.seed if request.sampling.temperature > 0 else None


def _completions_body(request: Request) -> dict[str, Any]:
    if request.prompt is None:
        raise UserError(
            "engine.args.api: completions takes token ids, not messages; write engine.args.api: "
            "chat"
        )
    return {
        "prompt": list(request.prompt),
        "max_tokens": request.max_tokens,
        "seed": _seed(request),
        **request.sampling.model_dump(),
        "stop_token_ids": list(request.stop_token_ids),
        "ignore_eos": request.ignore_eos,
        "thinking_token_budget": request.thinking_budget,
        "logprobs": 0,
        "return_token_ids": True,
    }


def _completions_read(reply: bytes, request: Request) -> Completion | None:
    try:
        read = _Completions.model_validate_json(reply)
    except ValidationError as error:
        raise ValueError(_first(error)) from None
    choice, usage = read.choices[0], read.usage
    ids, prompt_tokens = choice.token_ids, len(request.prompt or ())
    if ids is None:
        return None
    if usage.completion_tokens != len(ids) or usage.prompt_tokens != prompt_tokens:
        raise ValueError("the tokens do not match the server's count")
    if len(ids) > request.max_tokens:
        raise ValueError(f"{len(ids)} tokens where at most {request.max_tokens} were asked for")
    logprobs = (choice.logprobs and choice.logprobs.token_logprobs) or []
    if logprobs and len(logprobs) != len(ids):
        raise ValueError("log-probabilities and tokens differ in number")
    return Completion(ids, choice.text, choice.finish_reason, logprobs, prompt_tokens, usage.cached)


def _chat_body(request: Request) -> dict[str, Any]:
    neutral, sampling = Sampling().model_dump(), request.sampling.model_dump()
    return {
        "messages": list(request.messages or ()),
        "max_completion_tokens": request.max_tokens,
        "seed": _seed(request),
        **{
            name: value
            for name, value in sampling.items()
            if name not in _OURS or value != neutral[name]
        },
        "tools": list(request.tools) or None,
        "tool_choice": ("auto" if request.may_call else "none") if request.tools else None,
    }


def _chat_read(reply: bytes, request: Request) -> Completion:
    """Where a server does not say how many of its tokens were thinking, all of them count as
    thinking. So they do where it shows thinking and counts none, as vLLM does for models whose chat
    template opens the thinking. Of a message that calls tools all tokens are thinking.
    """
    try:
        read = _Chat.model_validate_json(reply)
    except ValidationError as error:
        raise ValueError(_first(error)) from None
    choice, usage = read.choices[0], read.usage
    message, total = choice.message, usage.completion_tokens
    details = usage.completion_tokens_details
    said = details.reasoning_tokens if details else None
    shown = message.reasoning or message.reasoning_content
    calls = bool(message.tool_calls) and bool(request.tools) and request.may_call
    thinking = total if calls or said is None or (said == 0 and shown) else said
    if thinking > total:
        raise ValueError("more thinking than tokens")
    return Completion(
        [],
        message.content or "",
        "length" if choice.finish_reason == "length" else "stop",
        [],
        usage.prompt_tokens,
        usage.cached,
        (thinking, total - thinking),
        message=message.model_dump(exclude_none=True) if calls else None,
    )


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]


WIRES = {
    "completions": Wire("completions", _completions_body, _completions_read),
    "chat": Wire("chat/completions", _chat_body, _chat_read),
}

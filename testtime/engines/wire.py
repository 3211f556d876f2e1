"""What goes over the wire: requests and replies of the two OpenAI APIs.

`completions` takes token ids and gives them back, which nested budgets stand on. Every sampling
parameter is sent: a server would fill in its own from the model's `generation_config`. `chat` takes
messages and gives text with its own token counts; parameters outside OpenAI's API are sent only
where they say something, since hosted servers refuse what they do not know.

A reply is checked against the server's own count; one that is not whole raises ValueError,
KeyError, TypeError or IndexError, and the request is tried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testtime.engines.base import Completion, Request, Sampling
from testtime.errors import UserError

_OURS = ("top_k", "min_p", "repetition_penalty")  # not OpenAI's


@dataclass(frozen=True)
class Wire:
    """One API: its path under the base URL, a request's body (None: left out), and the completion
    in a reply (None: it holds no token ids).
    """

    path: str
    body: Callable[[Request], dict[str, Any]]
    read: Callable[[dict[str, Any], Request], Completion | None]


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


def _completions_read(reply: dict[str, Any], request: Request) -> Completion | None:
    choice, usage = reply["choices"][0], reply["usage"]
    ids, prompt_tokens = choice.get("token_ids"), len(request.prompt or ())
    if ids is None:
        return None
    if usage["completion_tokens"] != len(ids) or usage["prompt_tokens"] != prompt_tokens:
        raise ValueError("the tokens do not match the server's count")
    logprobs = [
        float(value) for value in (choice.get("logprobs") or {}).get("token_logprobs") or ()
    ]
    if logprobs and len(logprobs) != len(ids):
        raise ValueError("log-probabilities and tokens differ in number")
    ids = [int(i) for i in ids]
    return Completion(ids, choice["text"], _finish(choice), logprobs, prompt_tokens, _cached(usage))


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
    }


def _chat_read(reply: dict[str, Any], request: Request) -> Completion:
    """Where a server does not say how many of its tokens were thinking, all of them count as
    thinking. So they do where it shows thinking and counts none, as vLLM does for models whose chat
    template opens the thinking.
    """
    choice, usage = reply["choices"][0], reply["usage"]
    message, total = choice["message"], int(usage["completion_tokens"])
    said = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    shown = message.get("reasoning") or message.get("reasoning_content")
    thinking = total if said is None or (said == 0 and shown) else int(said)
    if not 0 <= thinking <= total:
        raise ValueError("more thinking than tokens")
    text = message["content"] or ""
    counts = (thinking, total - thinking)
    return Completion(
        [], text, _finish(choice), [], int(usage["prompt_tokens"]), _cached(usage), counts
    )


def _finish(choice: dict[str, Any]) -> Any:
    if choice["finish_reason"] not in ("stop", "length"):
        raise ValueError(f"ended with {choice['finish_reason']!r}")
    return choice["finish_reason"]


def _cached(usage: dict[str, Any]) -> int:
    return (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0


WIRES = {
    "completions": Wire("completions", _completions_body, _completions_read),
    "chat": Wire("chat/completions", _chat_body, _chat_read),
}

"""A dialogue with a chat server whose model called tools, as pieces of text in the order they were
said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from testtime.storage.tables import CallRow

Piece = tuple[int, str, CallRow | None]


def turns_before(calls: Mapping[str, CallRow], call: CallRow | None) -> list[CallRow]:
    """The messages that called tools up to a call, itself among them where it is one."""
    if call is None:
        return []
    own = [call] if call.kind == "turn" else []
    return [*turns_before(calls, calls.get(call.parent)), *own]


def pieces(
    turns: Sequence[CallRow], answer: CallRow, tools: Mapping[tuple[str, int], CallRow]
) -> list[Piece]:
    """(tokens at its end, text, the tool where it is a result) of what was said in some turns.

    Of several results between two requests the server has counted the sum alone: all but the last
    count as one token.
    """
    told: list[Piece] = []
    end = 0
    for turn, following in zip(turns, [*turns[1:], answer], strict=True):
        message = json.loads(turn.text)
        end += turn.tokens
        told.append((end, _words(message), None))
        results = [tools.get((turn.key, number)) for number in range(len(message["tool_calls"]))]
        heard = [result for result in results if result is not None]
        fed = following.prompt_tokens - turn.prompt_tokens - turn.tokens
        for number, result in enumerate(heard, 1):
            end += max(1, fed - len(heard) + 1) if number == len(heard) else 1
            told.append((end, f"{result.text}\n", result))
    return told


def _words(message: Mapping[str, Any]) -> str:
    """What a message says and calls."""
    said = (message.get(name) for name in ("reasoning", "reasoning_content", "content"))
    calls = (call["function"] for call in message["tool_calls"])
    lines = [text for text in said if text]
    lines += [f"{function['name']}({function['arguments']})" for function in calls]
    return "".join(f"{line}\n" for line in lines)

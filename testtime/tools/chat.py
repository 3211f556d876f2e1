"""Tools as chat servers know them: OpenAI's `tools`, a message's `tool_calls`, messages of role
`tool`.

Every tool takes one text. A model writes it as a JSON object with one argument.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from testtime.tools.base import Tool
from testtime.tools.dialects import Asked, given, unknown

Message = dict[str, Any]


def offered(tools: Sequence[Tool]) -> tuple[Message, ...]:
    """The `tools` of a request."""
    return tuple(map(_described, tools))


def asked(call: Mapping[str, Any], tools: Sequence[Tool]) -> Asked:
    """One of a message's `tool_calls`."""
    function = call["function"]
    name, text = function["name"], function["arguments"]
    if wrong := unknown(name, [tool.name for tool in tools]):
        return Asked(name, text, wrong)
    read = _object(text)
    if read is None:
        argument = next(tool.argument for tool in tools if tool.name == name)
        example = json.dumps({argument: "..."})
        return Asked(name, text, f"error: the arguments are not a JSON object; write {example}")
    return Asked(name, given(read))


def sent_again(message: Message) -> Message:
    """A message that calls tools, as a server takes it back: one refuses a dialogue in which
    arguments are no JSON object, so such are put into one as a text.
    """
    return {**message, "tool_calls": [_readable(call) for call in message["tool_calls"]]}


def heard(call: Mapping[str, Any], text: str) -> Message:
    """The message with the result of a call."""
    return {"role": "tool", "tool_call_id": call["id"], "content": text}


def _described(tool: Tool) -> Message:
    parameters = {
        "type": "object",
        "properties": {tool.argument: {"type": "string"}},
        "required": [tool.argument],
    }
    function = {"name": tool.name, "description": tool.about, "parameters": parameters}
    return {"type": "function", "function": function}


def _readable(call: Message) -> Message:
    function = call["function"]
    if _object(function["arguments"]) is not None:
        return call
    arguments = json.dumps({"input": function["arguments"]})
    return {**call, "function": {**function, "arguments": arguments}}


def _object(text: str) -> dict[str, Any] | None:
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None

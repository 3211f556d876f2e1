"""How a call and its result stand in a model's text.

A call is a block between two texts. Its opening names the tool (`fence`), or what is inside does,
as JSON with name and arguments (Hermes, Qwen); where only one tool is offered, what is inside may
be the call itself. The result is fed behind it, between two texts of its own. With `chat` no text
marks anything: a chat server finds the calls, and results are messages (`tools.chat`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from testtime.tools.base import Tool


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as the model wrote it. name: of the tool, empty where that cannot be read; call: what
    the tool is given; wrong: why nothing can be called, as a text for the model.
    """

    name: str
    call: str
    wrong: str = ""


class Dialect(BaseModel):
    """call, result: what opens and closes each; `{tool}` in a call's opening is the tool's name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    call: tuple[str, str]
    result: tuple[str, str]

    @property
    def chat(self) -> bool:
        """Whether a server finds the calls."""
        return not any(self.call)

    def find(self, text: str, tools: Sequence[Tool]) -> Asked | None:
        """The first whole call in a text."""
        match = _pattern(self.call, tuple(tool.name for tool in tools)).search(text)
        if match is None:
            return None
        inside = match["call"].strip("\n")
        named = match.groupdict().get("tool")
        return Asked(named, inside) if named else _unnamed(inside, [tool.name for tool in tools])

    def explained(self, tools: Sequence[Tool]) -> str:
        """What a model that was not trained on the tools is told; a server's needs no words."""
        if self.chat:
            return ""
        opening, closing = self.call
        if "{tool}" in opening:
            example = f"{opening.replace('{tool}', tools[0].name)}...{closing}"
        elif len(tools) == 1:
            example = f"{opening}...{closing}"
        else:
            inside = json.dumps({"name": tools[0].name, "arguments": "..."})
            example = f"{opening}{inside}{closing}"
        listed = "\n".join(f"- {tool.name}: {tool.about}".rstrip(": ") for tool in tools)
        return (
            f"While you think you can call tools:\n{listed}\n\nWrite a call as\n{example}\n"
            "and stop there; its result follows, and you go on."
        )


DIALECTS = {
    "chat": Dialect(call=("", ""), result=("", "")),
    "fence": Dialect(call=("```{tool}\n", "```"), result=("\n```output\n", "\n```\n")),
    "tags": Dialect(
        call=("<tool_call>", "</tool_call>"), result=("<tool_response>", "</tool_response>")
    ),
    # The result as a turn of its own, as the templates of Hermes, Qwen2.5 and Qwen3 write it.
    "hermes": Dialect(
        call=("<tool_call>", "</tool_call>"),
        result=(
            "<|im_end|>\n<|im_start|>user\n<tool_response>\n",
            "\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
        ),
    ),
}


@lru_cache
def _pattern(call: tuple[str, str], names: tuple[str, ...]) -> re.Pattern[str]:
    offered = "(?P<tool>" + "|".join(map(re.escape, names)) + ")"
    opening = re.escape(call[0]).replace(re.escape("{tool}"), offered)
    return re.compile(f"{opening}(?P<call>.*?){re.escape(call[1])}", re.DOTALL)


def _unnamed(inside: str, names: Sequence[str]) -> Asked:
    """A call that names its tool inside, or the only tool's own."""
    only = names[0] if len(names) == 1 else ""
    try:
        read = json.loads(inside)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or "name" not in read:
        wrong = "" if only else 'error: no call; write {"name": ..., "arguments": ...}'
        return Asked(only, inside, wrong)
    name = str(read["name"])
    return Asked(name, given(read.get("arguments", "")), unknown(name, names))


def unknown(name: str, names: Sequence[str]) -> str:
    """What a model is told that calls a tool by this name; empty where there is such a tool."""
    return "" if name in names else f"error: no tool {name[:40]!r}; there is {', '.join(names)}"


def given(arguments: Any) -> str:
    """What the tool is given: a text as it is, the only argument's value, or all as JSON."""
    if isinstance(arguments, dict) and len(arguments) == 1:
        (arguments,) = arguments.values()
    return arguments if isinstance(arguments, str) else json.dumps(arguments)

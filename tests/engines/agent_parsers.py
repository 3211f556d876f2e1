"""What a server of the zoo's agent needs to find its calls: plugins for `vllm serve`.

The agent calls inside its thinking, which goes on behind the result; so a call ends what is
reasoning, and what the answer ends with is no part of it.
"""

from __future__ import annotations

import json
from typing import Any

from vllm.entrypoints.generate.base.protocol import (
    ExtractedToolCallInformation,
    FunctionCall,
    ToolCall,
)
from vllm.reasoning import ReasoningParserManager
from vllm.reasoning.deepseek_r1_reasoning_parser import DeepSeekR1ReasoningParser
from vllm.tool_parsers import ToolParserManager
from vllm.tool_parsers.abstract_tool_parser import ToolParser

OPEN, CLOSE = "<tool_call>", "</tool_call>"


@ReasoningParserManager.register_module("agent")
class AgentReasoning(DeepSeekR1ReasoningParser):
    def extract_reasoning(self, model_output: str, request: Any) -> tuple[str | None, str | None]:
        said = model_output.removesuffix("<eos>")
        before, mark, after = said.partition(OPEN)
        if mark and self.end_token not in before:
            return before or None, mark + after
        reasoning: tuple[str | None, str | None] = super().extract_reasoning(said, request)
        return reasoning


@ToolParserManager.register_module("agent")
class AgentTools(ToolParser):
    """The server is told to stop at the end of a call, so there is one, of the one tool offered."""

    def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
        before, mark, call = model_output.partition(OPEN)
        if not mark or CLOSE not in call:
            return ExtractedToolCallInformation(
                tools_called=False, tool_calls=[], content=model_output
            )
        name = request.tools[0].function.name
        given = json.dumps({"input": call.partition(CLOSE)[0]})
        made = ToolCall(function=FunctionCall(name=name, arguments=given))
        return ExtractedToolCallInformation(
            tools_called=True, tool_calls=[made], content=before or None
        )

"""Calls as models write them, whole, broken and unknown."""

from __future__ import annotations

import pytest

from testtime.tools.dialects import DIALECTS, Asked
from testtime.tools.registry import make

ONE, SEVERAL = [make("python")], [make("python"), make("calculator")]


def test_a_fence_names_its_tool_and_others_are_no_calls() -> None:
    find = DIALECTS["fence"].find
    text = "So:\n```python\nx = 1\nprint(x)\n```\nand"
    assert find(text, SEVERAL) == Asked("python", "x = 1\nprint(x)")
    assert find("```text\nx\n```\n```calculator\n1+1\n```", SEVERAL) == Asked("calculator", "1+1")
    for text in ("```python\nx = 1", "```\n1\n```", "```output\n1\n```", "python\n1\n```", ""):
        assert find(text, SEVERAL) is None


@pytest.mark.parametrize(
    ("inside", "asked"),
    [
        ('{"name": "python", "arguments": {"code": "1 + 1"}}', Asked("python", "1 + 1")),
        ('\n{"name": "calculator", "arguments": "2*3"}\n', Asked("calculator", "2*3")),
        ('{"name": "python", "arguments": {"a": 1, "b": 2}}', Asked("python", '{"a": 1, "b": 2}')),
        ('{"name": "python", "arguments": [1]}', Asked("python", "[1]")),
        ('{"name": "python"}', Asked("python", "")),
    ],
)
def test_tags_hold_json_with_name_and_arguments(inside: str, asked: Asked) -> None:
    for name in ("tags", "hermes"):
        found = DIALECTS[name].find(f"so <tool_call>{inside}</tool_call> <tool_call>", SEVERAL)
        assert found == asked


@pytest.mark.parametrize(
    ("inside", "wrong"),
    [
        ("1 + 1", "no call; write"),
        ('{"name": "python", ', "no call; write"),
        ("[" * 100_000, "no call; write"),
        ('{"arguments": {}}', "no call; write"),
        ('{"name": "clock", "arguments": {}}', "no tool 'clock'; there is python, calculator"),
        ('{"name": ["python"]}', "no tool"),
    ],
)
def test_what_cannot_be_called_says_why(inside: str, wrong: str) -> None:
    asked = DIALECTS["tags"].find(f"<tool_call>{inside}</tool_call>", SEVERAL)
    assert asked is not None and wrong in asked.wrong


def test_the_only_tool_may_be_called_without_a_name() -> None:
    assert DIALECTS["tags"].find("<tool_call>\n1 + 1\n</tool_call>", ONE) == Asked(
        "python", "1 + 1"
    )


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "chat"])
def test_what_the_model_is_told_is_a_call_that_is_understood(name: str) -> None:
    for tools in (ONE, SEVERAL):
        told = DIALECTS[name].explained(tools)
        assert all(tool.about in told for tool in tools)
        asked = DIALECTS[name].find(told, tools)
        assert asked == Asked("python", "...")

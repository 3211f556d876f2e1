"""Search, a user's own tool, what runs a tool, and how tools are named."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from testtime.errors import UserError
from testtime.tools.base import LONGEST, Tool, ToolTimeoutError, run
from testtime.tools.own import Own
from testtime.tools.registry import make
from testtime.tools.search import Search

CORPUS = """{"title": "Paris", "text": "Paris is the capital of France."}
{"text": "Berlin is the capital of Germany."}

{"text": "Bread is made of flour and water."}
"""


def test_search_gives_the_passages_that_match_best(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_text(CORPUS)
    tool = Search(corpus=str(file), top=2)
    assert tool.run("capital of Germany", (), 1).text.startswith("[1] Berlin")
    assert tool.run("flour", (), 1).text == "[1] Bread is made of flour and water."
    assert "Paris: Paris is" in tool.run("France", (), 1).text
    assert tool.run("zebra", (), 1).text == "no passage matches"
    assert tool.run("  ", (), 1).status == "failed"


def test_paragraphs_of_text_files_are_passages_and_their_text_is_the_fingerprint(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.md").write_text("One apple.\n\nTwo pears.\n")
    (tmp_path / "b.txt").write_text("Three plums.")
    (tmp_path / "c.bin").write_bytes(b"\xff\xfe")
    first = Search(corpus=str(tmp_path))
    assert first.run("pears", (), 1).text == "[1] Two pears."
    other = tmp_path / "b.txt"
    assert first.ready() != Search(corpus=str(other)).ready()


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("none.txt", None, "No such file"),
        ("empty.txt", b"\n\n", "holds no passage"),
        ("bad.jsonl", b"{", "bad.jsonl:1: not JSON"),
        ("less.jsonl", b'{"title": "x"}', "has no text"),
        ("bytes.txt", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_corpus_that_cannot_be_read_is_one_line(
    tmp_path: Path, name: str, content: bytes | None, error: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=error):
        Search(corpus=str(tmp_path / name)).ready()


def test_a_users_own_function_and_what_it_raises() -> None:
    tool = Own(name="lookup", function="testtime.zoo.facts:lookup")
    assert tool.run("a 084", (), 1).status == "ok" and len(tool.run("a 084", (), 1).text) == 1
    failing = Own(name="int", function="builtins:int").run("x", (), 1)
    assert failing.status == "failed" and failing.text.startswith("ValueError")
    with pytest.raises(UserError, match="cannot be imported"):
        Own(name="x", function="testtime.nothing:x").ready()
    with pytest.raises(UserError, match="is no function"):
        Own(name="x", function="testtime.zoo.facts:__doc__").ready()


def flood(call: str) -> str:
    return "x" * 10_000_000


def hang(call: str) -> str:
    time.sleep(5)
    return ""


def own(name: str) -> Tool:
    return Own(name=name, function=f"tests.tools.test_others:{name}")


def test_a_result_of_ten_megabytes_is_cut_and_says_so() -> None:
    result = asyncio.run(run(own("flood"), "", (), 10))
    assert len(result.text) < LONGEST + 100
    assert result.text.endswith(f"[cut: {LONGEST:,} of 10,000,000 characters]")


def test_a_tool_that_hangs_is_left_behind_and_its_neighbour_is_not() -> None:
    async def both() -> list[object]:
        return await asyncio.gather(
            run(own("hang"), "", (), 0.1),
            run(make("calculator"), "1+1", (), 5),
            return_exceptions=True,
        )

    began = time.monotonic()
    hung, result = asyncio.run(both())
    assert isinstance(hung, ToolTimeoutError) and "no result after 0.1 s" in str(hung)
    assert getattr(result, "text", "") == "2" and time.monotonic() - began < 4


def test_tools_are_named_with_their_options() -> None:
    assert make("python").name == "python"
    assert make({"name": "search", "corpus": "x", "top": 1}).top == 1  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"no tool 'pyton'.*did you mean 'python'"):
        make("pyton")
    with pytest.raises(ValueError, match="python: unknown option 'cpus'; did you mean 'cpu_s'"):
        make({"name": "python", "cpus": 1})
    with pytest.raises(ValueError, match="search: corpus: field required"):
        make("search")
    with pytest.raises(ValueError, match="own: function"):
        make({"name": "own", "function": "nothing"})
